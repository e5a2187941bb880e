import { it } from 'vitest'
import { stress } from './lib/stress.ts'
it('dbg', async () => {
  const t = Date.now()
  const r = await stress({ seed: 1, sessions: 3, kills: 5, cutShare: 0.3, onProgress: n => console.log(n, Date.now() - t) })
  console.log(Date.now() - t, JSON.stringify({ ...r, violations: r.violations.slice(0, 5) }))
}, 120000)
