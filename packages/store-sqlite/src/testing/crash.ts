import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Store } from '@holdfast/core'
import { FENCE, readAll } from '@holdfast/testkit'
import { expect } from 'vitest'
import { checkStore } from '../check.ts'
import type { PlayedFault } from '../messages.ts'
import { openSqliteStore, type SqliteStore } from '../sqlite-store.ts'

/** What a killed writer had been promised. */
export interface Promised {
  readonly events: Map<string, Map<number, string>>
  readonly floors: Map<string, number>
  readonly dropped: Set<string>
  epoch: string | undefined
}

export const nothingPromised = (): Promised => ({ events: new Map(), floors: new Map(), dropped: new Set(), epoch: undefined })

const childPath = fileURLToPath(new URL('./crash-child.ts', import.meta.url))

/** Runs a writer until it has said `acks` lines or has killed itself by its fault; resolves when it is dead. */
export async function crash(
  dataDir: string,
  promised: Promised,
  options: { readonly seed: number; readonly acks: number; readonly fault?: PlayedFault },
): Promise<number> {
  const args = ['--conditions=holdfast-source', '--disable-warning=ExperimentalWarning', childPath, dataDir, String(options.seed)]
  const child = spawn(process.execPath, options.fault ? [...args, JSON.stringify(options.fault)] : args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.on('data', part => {
    errors += String(part)
  })
  const ended = new Promise<string | null>(resolve => child.once('exit', (_code, signal) => resolve(signal)))
  let count = 0
  for await (const line of createInterface({ input: child.stdout })) {
    note(promised, JSON.parse(line) as Line)
    if (++count === options.acks) child.kill('SIGKILL')
  }
  expect(await ended, errors).toBe('SIGKILL')
  return count
}

type Line =
  | { readonly a: string; readonly first: number; readonly texts: readonly string[] }
  | { readonly t: string; readonly floor: number }
  | { readonly d: string }

function note(promised: Promised, line: Line): void {
  if ('a' in line) {
    const events = promised.events.get(line.a) ?? new Map<number, string>()
    line.texts.forEach((text, index) => {
      events.set(line.first + index, text)
    })
    promised.events.set(line.a, events)
  } else if ('t' in line) promised.floors.set(line.t, line.floor)
  else promised.dropped.add(line.d)
}

/** Opens what was left and looks whether every promise is kept and nothing else is wrong. */
export async function expectKept(dataDir: string, promised: Promised): Promise<void> {
  const store = await openSqliteStore({ dataDir, segmentBytes: 3000 })
  try {
    promised.epoch ??= store.epoch
    expect(store.epoch, 'a kill is no other history').toBe(promised.epoch)
    for (const [id, events] of promised.events) await expectLog(store, id, events, promised.floors.get(id) ?? 0)
    for (const id of promised.dropped) expect((await store.getSession(id))?.status).toBe('deleted')
    await store.fold()
    for (const [id, events] of promised.events) await expectLog(store, id, events, promised.floors.get(id) ?? 0)
    await append(store)
  } finally {
    await store.close()
  }
  const report = await checkStore(dataDir)
  expect(report.problems).toEqual([])
  expect(report.strays).toEqual([])
  expect(report.guard).toBe('fits')
}

async function expectLog(store: Store, id: string, acked: ReadonlyMap<number, string>, floor: number): Promise<void> {
  const row = await store.getSession(id)
  expect(row?.floor ?? 0, 'an acked trim holds').toBeGreaterThanOrEqual(floor)
  const events = await readAll(store, id, 0, 5000)
  const found = new Map(events.map(event => [event.seq, event.text]))
  expect(events.length).toBe((row?.head ?? 0) - (row?.floor ?? 0))
  const missing = [...acked].filter(([seq, text]) => seq > (row?.floor ?? 0) && found.get(seq) !== text)
  expect(missing, 'no acked event is missing or changed').toEqual([])
  expect(row?.head ?? 0).toBeGreaterThanOrEqual(Math.max(0, ...acked.keys()))
}

/** The store takes commits after what it went through. */
async function append(store: SqliteStore): Promise<void> {
  await store.commit({ docs: [{ collection: 'after', id: 'crash', value: '1' }], fence: FENCE })
}
