import { expect, it } from 'vitest'
import { simulate } from './simulate.ts'
it('tries', async () => {
  const start = performance.now()
  const from = Number(process.env.HOLDFAST_SEED ?? 1)
  const n = Number(process.env.N ?? 300)
  const kinds = new Map<string, string[]>()
  const total: Record<string, number> = {}
  for (let seed = from; seed < from + n; seed++) {
    const result = await simulate(seed, { keepLines: n === 1 })
    for (const [k, v] of Object.entries(result.stats)) total[k] = (total[k] ?? 0) + v
    if (n === 1) console.log(result.lines.join('\n'))
    for (const v of result.violations) {
      const name = `${v.rule}: ${v.detail.replace(/[0-9]+/g, '#').slice(0, 150)}`
      kinds.set(name, [...(kinds.get(name) ?? []), `${seed} ${v.session} ${v.detail.slice(0, 500)}`])
    }
  }
  console.log((performance.now() - start) / n, 'ms per seed', total)
  for (const [k, v] of [...kinds].sort((a, b) => b[1].length - a[1].length).slice(0, 30)) console.log(v.length, k, '| e.g.', v[0])
  expect(1).toBe(1)
}, 600_000)
