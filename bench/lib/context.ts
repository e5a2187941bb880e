import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Comparison, Context, Measure, Row, Target } from './case.ts'
import { median } from './figures.ts'

export interface ContextOptions {
  readonly name: string
  readonly quick: boolean
  /** Where the case's folder is made: on the disk that is measured. */
  readonly scratch: string
  readonly say: (text: string) => void
  readonly onRow: (row: Row) => void
}

interface Sample {
  readonly ours: number
  readonly peer: number | null
  readonly limit: number | null
}

export function createContext({ name, quick, scratch, say, onRow }: ContextOptions): Context & { end(): Promise<void> } {
  const folder = mkdtempSync(join(scratch, `${name}-`))
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]

  const add = (comparison: Omit<Comparison, 'ours' | 'peer' | 'limit'>, names: { peer?: string; limit?: string }, samples: readonly Sample[]): Row => {
    const row = rowFrom(name, comparison, names, samples)
    onRow(row)
    return row
  }

  return {
    quick,
    rounds: quick ? 3 : 5,
    folder,
    say,
    async compare(comparison) {
      const rounds = comparison.rounds ?? (quick ? 3 : 5)
      const samples: Sample[] = []
      const sides = (['ours', 'peer', 'limit'] as const).flatMap(side => {
        const measure: Measure | undefined = side === 'ours' ? comparison.ours : comparison[side]?.measure
        return measure ? [{ side, measure }] : []
      })
      for (let round = -1; round < rounds; round++) {
        const values: Record<string, number> = {}
        // The order turns with each round, so that no side always comes after the same one.
        for (const { side, measure } of round % 2 === 0 ? sides : [...sides].reverse()) {
          say(`${comparison.metric}: ${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}, ${side === 'ours' ? 'Holdfast' : comparison[side]?.name}`)
          values[side] = await measure()
        }
        if (round >= 0) samples.push({ ours: values['ours'] as number, peer: values['peer'] ?? null, limit: values['limit'] ?? null })
      }
      return add(comparison, { ...(comparison.peer && { peer: comparison.peer.name }), ...(comparison.limit && { limit: comparison.limit.name }) }, samples)
    },
    record({ ours, peer, limit, ...comparison }) {
      const names = { ...(peer && { peer: peer.name }), ...(limit && { limit: limit.name }) }
      return add(comparison, names, [{ ours, peer: peer?.value ?? null, limit: limit?.value ?? null }])
    },
    defer: end => void ends.push(end),
    async end() {
      for (const end of ends.reverse()) await end()
    },
  }
}

/** Pure: the row of a comparison's samples. */
export function rowFrom(
  name: string,
  { metric, unit, targets = [], note }: Pick<Comparison, 'metric' | 'unit' | 'targets' | 'note'>,
  names: { peer?: string; limit?: string },
  samples: readonly Sample[],
): Row {
  const present = (values: readonly (number | null)[]): number | null => {
    const numbers = values.filter(value => value !== null)
    return numbers.length === 0 ? null : median(numbers)
  }
  const ratios = { peer: present(samples.map(s => s.peer && s.ours / s.peer)), limit: present(samples.map(s => s.limit && s.ours / s.limit)) }
  const ours = median(samples.map(sample => sample.ours))
  const measured = (target: Target): number | null => (target.against === 'value' ? ours : ratios[target.against])
  const holds = (target: Target): boolean => {
    const value = measured(target)
    return value !== null && Number.isFinite(value) && (target.op === '>=' ? value >= target.bound : value <= target.bound)
  }
  return {
    case: name,
    metric,
    unit,
    ours,
    peer: present(samples.map(sample => sample.peer)),
    peer_name: names.peer ?? null,
    limit: present(samples.map(sample => sample.limit)),
    limit_name: names.limit ?? null,
    ratio_peer: ratios.peer,
    ratio_limit: ratios.limit,
    target: targets.length === 0 ? null : targets.map(target => textOf(target, unit)).join(', '),
    ok: targets.length === 0 ? null : targets.every(holds),
    rounds: samples.length,
    samples: samples.map(sample => sample.ours),
    ...(note === undefined ? {} : { note }),
  }
}

const textOf = ({ against, op, bound }: Target, unit: string): string => `${op} ${Number(bound.toPrecision(4))} ${against === 'value' ? unit : `x ${against}`}`
