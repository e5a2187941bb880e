import { HoldfastError } from '@holdfast/protocol/wire'
import { type FakeServer, startFakeServer, until } from '@holdfast/testkit/fake-server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Attachment, type AttachOptions, type Client, createClient, sseTransport } from '../index.ts'

const policy = { baseMs: 2, capMs: 20, connectMs: 2000 }
const IDS = Array.from({ length: 8 }, (_, index) => `s${index}`)

let server: FakeServer
let client: Client
beforeEach(async () => {
  server = await startFakeServer()
  for (const id of IDS) server.log.create(id)
  client = createClient({ url: server.url, clientId: 'tab-1', policy, transports: [sseTransport({ slowMs: 20 })] })
})
afterEach(async () => {
  client.close()
  await server.close()
})

interface Followed {
  readonly handle: Attachment
  readonly told: string[]
  readonly seqs: number[]
}

function follow(id: string, options: Partial<AttachOptions> = {}): Followed {
  const told: string[] = []
  const seqs: number[] = []
  const handle = client.attach(id, {
    onHello: hello => void told.push(`hello ${hello.resume}`),
    onReset: () => void told.push('reset'),
    onGap: gap => void told.push(`gap ${gap.from_seq}-${gap.to_seq}`),
    onSnapshot: snapshot => void told.push(`snapshot ${snapshot.seq}`),
    onCaughtUp: seq => void told.push(`caught_up ${seq}`),
    onEvent: (event, context) => {
      seqs.push(event.header.seq)
      told.push(`${event.header.seq}${context.live ? '!' : ''}`)
    },
    ...options,
  })
  return { handle, told, seqs }
}
const append = (id: string, count: number): void => {
  for (let n = 1; n <= count; n++) server.log.append(id, { n })
}
const dense = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)
const live = (all: readonly Followed[]): Promise<void> => until(() => all.every(one => one.handle.state.phase === 'live'), 'all live')
const reach = (one: Followed, seq: number): Promise<void> => until(() => one.handle.lastSeq === seq, `seq ${seq}`)
const openStreams = (count: number): Promise<void> => until(() => server.http.open === count, `${count} open streams, there are ${server.http.open}`)

describe('shared event streams', () => {
  test('[CLI-01] sessions that are attached together share one stream', async () => {
    for (const id of IDS) append(id, 3)
    const all = IDS.map(id => follow(id))
    await live(all)
    expect(server.http.open).toBe(1)
    expect(server.attaches.map(attach => attach.shared)).toEqual(IDS.map(() => IDS.length))
    for (const id of IDS) append(id, 2)
    for (const one of all) await reach(one, 5)
    expect(all.map(one => one.told)).toEqual(IDS.map(() => ['hello new', '1', '2', '3', 'caught_up 3', '4!', '5!']))
  })

  test('[CLI-01] [SEQ-03] a session that comes later joins the stream, and the others notice nothing of it', async () => {
    const first = IDS.slice(0, 2).map(id => follow(id))
    await live(first)
    append('s0', 4)
    await reach(first[0] as Followed, 4)
    const later = follow('s2')
    append('s0', 1)
    await live([later])
    await openStreams(1)
    append('s0', 1)
    append('s1', 1)
    append('s2', 1)
    await Promise.all([reach(first[0] as Followed, 6), reach(first[1] as Followed, 1), reach(later, 1)])
    expect(first[0]?.told).toEqual(['hello new', 'caught_up 0', '1!', '2!', '3!', '4!', '5!', '6!'])
    expect(first[1]?.told).toEqual(['hello new', 'caught_up 0', '1!'])
    expect(server.attaches.filter(attach => attach.sessionId === 's0').at(-1)).toMatchObject({ shared: 3, cursor: expect.stringMatching(/^Efake0001\.[45]$/) })
  })

  test('[SEQ-16] a cut stream is asked for again with a fresh list', async () => {
    const all = IDS.map(id => follow(id))
    await live(all)
    for (const [index, id] of IDS.entries()) append(id, index)
    for (const [index, one] of all.entries()) await reach(one, index)
    server.cutAll()
    for (const id of IDS) append(id, 1)
    for (const [index, one] of all.entries()) await reach(one, index + 1)
    expect(all.map(one => one.seqs)).toEqual(IDS.map((_, index) => dense(index + 1)))
    expect(server.attaches.slice(-IDS.length).map(attach => attach.cursor)).toEqual(
      IDS.map((_, index) => expect.stringMatching(new RegExp(`^Efake0001\\.(${index}|${index + 1})$`))),
    )
    expect(server.http.open).toBe(1)
  })

  test('[SEQ-16] streams cut anywhere, over and over, lose and repeat nothing', async () => {
    let cuts = 40
    server.faults.cutAfterBytes = () => (cuts-- > 0 ? 300 + ((cuts * 7919) % 6000) : undefined)
    for (const id of IDS) append(id, 40)
    const all = IDS.map(id => follow(id))
    for (const one of all) await reach(one, 40)
    expect(all.map(one => one.seqs)).toEqual(IDS.map(() => dense(40)))
  })

  test('[CLI-01] an unknown session fails alone', async () => {
    const good = [follow('s0'), follow('s1')]
    const bad = follow('nobody')
    await live(good)
    await until(() => bad.handle.state.phase === 'failed', 'the refusal')
    expect(bad.handle.state.error).toBeInstanceOf(HoldfastError)
    expect((bad.handle.state.error as HoldfastError).code).toBe('not_found')
    append('s0', 1)
    await reach(good[0] as Followed, 1)
    expect(good[0]?.told).toEqual(['hello new', 'caught_up 0', '1!'])
  })

  test('[CLI-01] where a shared stream is refused, each session gets an answer of its own', async () => {
    server.faults.refuse = (_method, path) => (path === '/events' ? { code: 'invalid_request' } : undefined)
    const all = IDS.slice(0, 3).map(id => follow(id))
    await live(all)
    await openStreams(3)
    expect(all.map(one => one.told)).toEqual(all.map(() => ['hello new', 'caught_up 0']))
  })

  test('[OPS-04] a session whose handler does not get done holds up no other', async () => {
    let release = (): void => {}
    const gate = new Promise<void>(resolve => {
      release = resolve
    })
    const slow = follow('s0', { onEvent: event => (event.header.seq === 1 ? gate : undefined) })
    const quick = [follow('s1'), follow('s2')]
    await live([slow, ...quick])
    append('s0', 1500)
    append('s1', 1)
    await reach(quick[0] as Followed, 1)
    await openStreams(2)
    append('s2', 1)
    await reach(quick[1] as Followed, 1)
    expect(slow.handle.lastSeq).toBe(0)
    release()
    await reach(slow, 1500)
    expect(slow.told).toEqual(['hello new', 'caught_up 0'])
  })

  test('[CLI-01] the stream goes on without a session that was closed, and ends with the last', async () => {
    const all = IDS.slice(0, 3).map(id => follow(id))
    await live(all)
    all[1]?.handle.close()
    await until(() => server.attaches.at(-1)?.shared === 2, 'a stream of two')
    await openStreams(1)
    append('s0', 1)
    await reach(all[0] as Followed, 1)
    all[0]?.handle.close()
    all[2]?.handle.close()
    await openStreams(0)
  })

  test('[SEQ-14] gap, reset and snapshot of one session among several are told to it alone', async () => {
    server.log.create('chat', 'chat')
    append('chat', 6)
    append('s0', 6)
    append('s1', 2)
    const [run, chat] = [server.log.sessions.get('s0'), server.log.sessions.get('chat')]
    if (run) run.floor = 4
    if (chat) chat.floor = 4
    const all = [follow('s0', { cursor: 'Efake0001.1' }), follow('chat', { cursor: 'Efake0001.1' }), follow('s1', { cursor: 'Eother001.1' })]
    await live(all)
    expect(server.http.open).toBe(1)
    expect(all.map(one => one.told)).toEqual([
      ['hello gap', 'gap 2-4', '5', '6', 'caught_up 6'],
      ['hello gap', 'gap 2-4', 'snapshot 6', 'caught_up 6'],
      ['hello reset', 'reset', '1', '2', 'caught_up 2'],
    ])
  })

  test('[SEQ-03] modes that differ go by streams of their own, and a live one keeps its place when the list changes', async () => {
    append('s0', 2)
    append('s1', 2)
    const all = [follow('s0', { mode: 'live' }), follow('s1')]
    await live(all)
    await openStreams(2)
    append('s0', 1)
    await reach(all[0] as Followed, 3)
    const third = follow('s2')
    await live([third])
    await openStreams(1)
    append('s0', 1)
    await reach(all[0] as Followed, 4)
    expect(all.map(one => one.told)).toEqual([
      ['hello new', 'caught_up 2', '3!', '4!'],
      ['hello new', '1', '2', 'caught_up 2'],
    ])
  })
})
