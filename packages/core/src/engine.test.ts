import { DEFAULT_LIMITS, runKind, textsFromChunk } from '@holdfast/protocol'
import { describe, expect, it } from 'vitest'
import { type Attachment, createEngine, createMemoryStore, type Delivery, type Engine, type Principal, SCOPES } from './index.ts'

const admin: Principal = { subject: 'a', scopes: new Set(SCOPES) }
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

async function start(options: Parameters<typeof createMemoryStore>[0] = {}): Promise<Engine> {
  let ids = 0
  const store = createMemoryStore(options)
  return createEngine({
    store,
    kinds: [runKind],
    limits: DEFAULT_LIMITS,
    clock: { wallMs: () => 1_700_000_000_000, steadyMs: () => 0, after: () => () => undefined },
    random: { id: () => `id-${++ids}`, fraction: () => 0.5 },
    logger: quiet,
    digest: text => text,
  })
}

const message = (text: string, extra: object = {}) => ({ event_type: 'message', role: 'assistant', content: [{ type: 'text', text }], ...extra })

async function drain(attachment: Attachment, maxBytes = 65536): Promise<{ types: string[]; seqs: number[]; texts: string[] }> {
  const types: string[] = []
  const seqs: number[] = []
  const texts: string[] = []
  for (;;) {
    const delivery: Delivery | undefined = await attachment.pull(maxBytes)
    if (!delivery) return { types, seqs, texts }
    if (delivery.type === 'control') types.push(delivery.message.type)
    else if (delivery.type === 'end') types.push(`end:${delivery.error.code}`)
    else
      for (const text of textsFromChunk(delivery.chunk)) {
        const event = JSON.parse(text) as { type: string; header: { seq: number } }
        types.push(event.type)
        seqs.push(event.header.seq)
        texts.push(text)
      }
    if (delivery.type === 'end') return { types, seqs, texts }
  }
}

describe('engine', () => {
  it('[SEQ-01] [SEQ-03] [SEQ-05] events are dense from 1, and an attachment gives hello, events, caught_up, then what follows', async () => {
    const engine = await start()
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    const first = await engine.appendEvents(admin, 's', [message('a'), message('b')])
    expect(first).toEqual({ firstSeq: 1, lastSeq: 2, duplicate: false })
    const attachment = await engine.attach(admin, 's')
    expect((await drain(attachment)).types).toEqual(['protocol.hello', 'run.message', 'run.message', 'protocol.caught_up'])
    const woken = new Promise<void>(resolve => attachment.onWake(resolve))
    await engine.appendEvents(admin, 's', [message('c')])
    await woken
    expect((await drain(attachment)).seqs).toEqual([3])
  })

  it('[SEQ-18] [fault 5] [fault 6] the same id is one event, however often and however concurrently it is sent', async () => {
    const engine = await start()
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    const answers = await Promise.all(Array.from({ length: 20 }, () => engine.appendEvents(admin, 's', [message('a', { id: 'x' })])))
    expect(answers.map(answer => answer.lastSeq)).toEqual(Array(20).fill(1))
    expect(answers.filter(answer => !answer.duplicate)).toHaveLength(1)
    await expect(engine.appendEvents(admin, 's', [message('other', { id: 'x' })])).rejects.toMatchObject({ code: 'conflict' })
    expect((await engine.getSession(admin, 's')).head_seq).toBe(1)
  })

  it('[RUN-06] [RUN-08] a stop finishes the run once, and the feed tells of it in order', async () => {
    const engine = await start()
    await engine.createSession(admin, { session_id: 's', session_name: 's' })
    await engine.appendEvents(admin, 's', [message('done')])
    await engine.appendEvents(admin, 's', [{ event_type: 'session_stop', exit_code: 3 }])
    await engine.appendEvents(admin, 's', [{ event_type: 'session_stop', exit_code: 0 }])
    expect(await engine.status(admin, 's')).toEqual({ status: 'finished', state: 'failed' })
    expect(await engine.result(admin, 's', false)).toBe('done')
    const feed = await drain(await engine.attach(admin, '_feed', { cursor: { seq: 0 } }))
    expect(feed.types).toEqual(['protocol.hello', 'session.created', 'session.updated', 'protocol.caught_up'])
  })
})
