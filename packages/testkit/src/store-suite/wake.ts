import { describe, expect, it } from 'vitest'
import { appendOf, FENCE, rowOf } from './fixtures.ts'
import type { UseStore } from './with-store.ts'

/** A promise of the first head that `reached` accepts. */
const headOf = (listen: (listener: (head: number) => void) => () => void, reached: (head: number) => boolean): Promise<number> =>
  new Promise(resolve => {
    const stop = listen(head => {
      if (!reached(head)) return
      stop()
      resolve(head)
    })
  })

export function wakeTests(use: UseStore): void {
  describe('wake', () => {
    it(
      '[SEQ-05] a listener hears of a head only when its commit has settled, and can read it then',
      use(async store => {
        await store.commit({ creates: [rowOf('a')], fence: FENCE })
        let settled = 0
        const early: number[] = []
        const stop = store.wake('a', head => {
          if (head > settled) early.push(head)
        })
        const heard = headOf(
          listener => store.wake('a', listener),
          head => head >= 50,
        )
        const commitOne = async (seq: number): Promise<void> => store.commit({ appends: [appendOf('a', seq, [String(seq)])], fence: FENCE })
        for (let seq = 1; seq <= 50; seq++) {
          await commitOne(seq)
          settled = seq
        }
        expect(await heard).toBe(50)
        expect(early).toEqual([])
        expect((await store.read('a', 49, 100))?.lastSeq).toBe(50)
        stop()
      }),
    )

    it(
      'a listener hears of its own session only, and nothing once it has stopped',
      use(async store => {
        await store.commit({ creates: [rowOf('a'), rowOf('b')], fence: FENCE })
        const heard: string[] = []
        const stopA = store.wake('a', head => heard.push(`a${head}`))
        store.wake('b', head => heard.push(`b${head}`))
        const first = headOf(
          listener => store.wake('b', listener),
          head => head === 1,
        )
        await store.commit({ appends: [appendOf('b', 1, ['1'])], fence: FENCE })
        await first
        expect(heard).toEqual(['b1'])
        stopA()
        const second = headOf(
          listener => store.wake('b', listener),
          head => head === 2,
        )
        await store.commit({ appends: [appendOf('a', 1, ['1']), appendOf('b', 2, ['2'])], fence: FENCE })
        await second
        expect(heard).toEqual(['b1', 'b2'])
      }),
    )

    it(
      'a refused commit wakes nobody',
      use(async store => {
        await store.commit({ creates: [rowOf('a')], fence: FENCE })
        const heard: number[] = []
        store.wake('a', head => heard.push(head))
        await store.commit({ appends: [appendOf('a', 2, ['"hole"'])], fence: FENCE }).catch(() => {})
        const woken = headOf(
          listener => store.wake('a', listener),
          head => head === 1,
        )
        await store.commit({ appends: [appendOf('a', 1, ['1'])], fence: FENCE })
        await woken
        expect(heard).toEqual([1])
      }),
    )
  })
}
