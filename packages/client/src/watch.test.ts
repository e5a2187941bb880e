import { type FakeServer, startFakeServer, until } from '@holdfast/testkit/fake-server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Client, createClient, type Watch, type WatchOptions } from './index.ts'

let server: FakeServer
let client: Client
beforeEach(async () => {
  server = await startFakeServer()
  client = createClient({ url: server.url, clientId: 'dash', policy: { baseMs: 2, capMs: 10 } })
})
afterEach(async () => {
  client.close()
  await server.close()
})

function watch(options: Partial<WatchOptions> = {}): { handle: Watch; seen: string[] } {
  const seen: string[] = []
  const handle = client.watch({
    ...options,
    onEvent: (event, { sessionId }) => void seen.push(`${sessionId}:${event.header.seq}`),
    onEnd: id => void seen.push(`${id} ended`),
  })
  return { handle, seen }
}
const watching = ({ handle }: { handle: Watch }): Promise<void> => until(() => handle.state.phase === 'watching', 'watching')

describe('watch', () => {
  test('[RUN-08] what is there from its head, what is created later from its start', async () => {
    server.log.create('old')
    server.log.append('old', {})
    const followed = watch()
    await watching(followed)
    server.log.append('old', {})
    server.log.create('new')
    server.log.append('new', {})
    server.log.append('new', {})
    await until(() => followed.seen.length === 3, 'three events')
    expect(followed.seen.sort()).toEqual(['new:1', 'new:2', 'old:2'])
  })

  test('[SEQ-16] after a cut each session goes on where it was, those created meanwhile from their start', async () => {
    server.log.create('a')
    server.log.create('b')
    const followed = watch()
    await watching(followed)
    server.log.append('a', {})
    await until(() => followed.seen.length === 1, 'the first')
    server.faults.refuseUpgrades = true
    server.cutAll()
    await until(() => followed.handle.state.phase !== 'watching', 'the cut')
    server.log.append('a', {})
    server.log.append('a', {})
    server.log.append('b', {})
    server.log.create('c')
    server.log.append('c', {})
    server.faults.refuseUpgrades = false
    await until(() => followed.seen.length === 5, 'what was missed')
    server.log.append('a', {})
    await until(() => followed.seen.length === 6, 'live again')
    expect([...followed.seen].sort()).toEqual(['a:1', 'a:2', 'a:3', 'a:4', 'b:1', 'c:1'])
    expect(followed.seen.filter(entry => entry.startsWith('a'))).toEqual(['a:1', 'a:2', 'a:3', 'a:4'])
  })

  test('[RUN-08] kinds are asked of the server', async () => {
    server.log.create('chat', 'chat')
    server.log.create('run')
    const followed = watch({ kinds: ['chat'] })
    await watching(followed)
    server.log.append('run', {})
    server.log.append('chat', {})
    await until(() => followed.seen.length === 1, 'the chat')
    expect(followed.seen).toEqual(['chat:1'])
    followed.handle.close()
    expect(followed.handle.state.phase).toBe('closed')
    await until(() => server.sockets.open === 0, 'the socket closed')
  })

  test('[RUN-08] the feed is a session like others, over all transports', async () => {
    server.log.create('_feed', 'feed')
    server.log.append('_feed', { n: 1 }, { type: 'session.created' })
    const seqs: number[] = []
    const handle = client.attach('_feed', { onEvent: event => void seqs.push(event.header.seq) })
    await until(() => handle.state.phase === 'live', 'live')
    server.faults.refuseUpgrades = true
    server.cutAll()
    server.log.append('_feed', { n: 2 }, { type: 'session.updated' })
    await until(() => handle.lastSeq === 2, 'the second')
    expect(seqs).toEqual([1, 2])
    await expect(handle.send('chat.send', {})).rejects.toThrow()
  })
})
