// The readers of a storm in a process of their own: what `startStormReaders` forks. One group in its life.
import { openStormReader, type StormSide } from './storm-reader.ts'

export type StormRequest =
  | { readonly act: 'open'; readonly side: StormSide; readonly paths: readonly string[]; readonly count: number }
  /** From now on every reader has to come back and catch up. */
  | { readonly act: 'lose' }
  /** Wanted: all readers of `paths[i]` have event `heads[i]`. */
  | { readonly act: 'reach'; readonly heads: readonly number[] }

export type StormAnswer =
  | { readonly about: 'caughtUp'; readonly atUs: number }
  | { readonly about: 'reached' }
  | { readonly about: 'progress'; readonly caughtUp: number }
  | { readonly about: 'failure'; readonly why: string }

const send = (answer: StormAnswer): void => void process.send?.(answer)
const nowUs = (): number => Number(process.hrtime.bigint() / 1000n)

let count = 0
/** Readers that have not caught up yet. */
let behind = new Set<number>()
let lasts: number[] = []
let paths: readonly string[] = []
let heads: readonly number[] | undefined

const hasReached = (): boolean => heads !== undefined && lasts.every((last, index) => last >= (heads?.[index % paths.length] as number))
const looks = setInterval(() => {
  send({ about: 'progress', caughtUp: count - behind.size })
  if (!hasReached()) return
  heads = undefined
  send({ about: 'reached' })
}, 50)

process.on('message', (request: StormRequest) => {
  if (request.act === 'reach') heads = request.heads
  if (request.act === 'lose') behind = new Set(lasts.keys())
  if (request.act !== 'open') return
  count = request.count
  paths = request.paths
  lasts = Array.from({ length: count }, () => 0)
  behind = new Set(lasts.keys())
  for (let index = 0; index < count; index++)
    openStormReader(request.side, paths[index % paths.length] as string, {
      onEvent: number => (lasts[index] = number),
      onCaughtUp() {
        if (behind.delete(index) && behind.size === 0) send({ about: 'caughtUp', atUs: nowUs() })
      },
      onFailure: why => send({ about: 'failure', why: `reader ${index}: ${why}` }),
    })
})
process.on('disconnect', () => {
  clearInterval(looks)
  process.exit(0)
})
