import { expect, it } from 'vitest'
import { ownFolder } from './testing/folders.ts'
import { crash, expectKept, nothingPromised } from './testing/crash.ts'

const ROUNDS = Number(process.env['HOLDFAST_ROUNDS'] ?? 10)

it(`[SEQ-05] [fault 30] ${ROUNDS} kills in mid-write: nothing acked is missing, the epoch stays, no file is left over`, {
  timeout: 30_000 + ROUNDS * 5000,
}, async () => {
  const dataDir = ownFolder()
  const promised = nothingPromised()
  for (let round = 1; round <= ROUNDS; round++) {
    await crash(dataDir, promised, { seed: round, acks: 20 + ((round * 37) % 150) })
    await expectKept(dataDir, promised)
  }
  expect(promised.events.size).toBe(4)
})

const STEPS = ['commit:written', 'commit:done', 'commit:guarded', 'fold:begun', 'fold:file', 'fold:swapped', 'erase:files', 'erase:segments']

for (const at of STEPS) {
  it(`[fault 11] [fault 30] a kill at ${at}: nothing acked is missing, no file is left over`, { timeout: 60_000 }, async () => {
    const dataDir = ownFolder()
    const promised = nothingPromised()
    for (const after of at.startsWith('commit') ? [1, 7, 40] : [1, 4]) {
      await crash(dataDir, promised, { seed: after, acks: 100_000, fault: { at, after, action: 'kill' } })
      await expectKept(dataDir, promised)
    }
  })
}
