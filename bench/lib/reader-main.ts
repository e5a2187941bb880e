// Readers in a process of their own, as they are on machines of their own in life: what `startReaders` forks.
import { type GroupOptions, openGroup, type ReaderGroup } from './reader-group.ts'

/** Sent to this process; every one is answered with its `id`. */
export type ReaderRequest =
  | { readonly id: number; readonly group: number; readonly act: 'open'; readonly options: GroupOptions }
  | { readonly id: number; readonly group: number; readonly act: 'reached'; readonly number: number }
  | { readonly id: number; readonly group: number; readonly act: 'latencies' | 'closes' | 'close' }

export type ReaderAnswer = { readonly id: number; readonly value: unknown } | { readonly failure: string }

const groups = new Map<number, ReaderGroup>()
const send = (answer: ReaderAnswer): void => void process.send?.(answer)

async function act(request: ReaderRequest): Promise<unknown> {
  if (request.act === 'open') {
    const group = openGroup(request.options, why => send({ failure: why }))
    groups.set(request.group, group)
    return group.opened
  }
  const group = groups.get(request.group)
  if (!group) throw new Error(`there is no group ${request.group}`)
  switch (request.act) {
    case 'reached':
      return group.reached(request.number)
    case 'latencies':
      return group.latencies()
    case 'closes':
      return group.closes
    case 'close':
      groups.delete(request.group)
      return group.close()
  }
}

process.on('message', (request: ReaderRequest) => {
  act(request).then(
    value => send({ id: request.id, value: value ?? null }),
    (thrown: unknown) => send({ failure: String(thrown) }),
  )
})
process.on('disconnect', () => process.exit(0))
