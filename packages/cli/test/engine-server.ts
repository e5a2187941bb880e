import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createEngine, createMemoryStore, type Engine, type Principal, SCOPES } from '@holdfast/core'
import { createSessionSchema, DEFAULT_LIMITS, errorFrom, HoldfastError, parseLossless, runKind, textsFromChunk } from '@holdfast/protocol'

/** What a test makes of one request: nothing, an answer of its own, or a connection that dies before or after the work was done. */
export type Fault = undefined | 'cut' | 'cut-after' | 'hang' | 'hang-after' | { status: number; body: unknown }

export interface EngineServer {
  readonly url: string
  readonly engine: Engine
  /** Method and path of every request, in order of arrival. */
  readonly requests: string[]
  fault: (method: string, path: string, body: string) => Fault
  /** Called when a request is left without an answer. */
  onHang: () => void
  events(id: string): Promise<{ type: string; header: { id: string; seq: number }; payload: Record<string, unknown> }[]>
  stop(): Promise<void>
}

const admin: Principal = { subject: 'a', scopes: new Set(SCOPES) }
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

/** The real engine over a store in memory, behind the few routes that the command line uses. */
export async function startEngineServer(): Promise<EngineServer> {
  let ids = 0
  const engine = await createEngine({
    store: createMemoryStore(),
    kinds: [runKind],
    limits: DEFAULT_LIMITS,
    clock: { wallMs: Date.now, steadyMs: () => performance.now(), after: () => () => undefined },
    random: { id: () => `id-${++ids}`, fraction: () => 0.5 },
    logger: quiet,
    digest: text => createHash('sha256').update(text).digest('hex'),
  })
  const requests: string[] = []
  const server = createServer((request, response) => {
    void answer(request, response)
  })
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const { method = 'GET', url = '/' } = request
    requests.push(`${method} ${url}`)
    const fault = result.fault(method, url, body.toString())
    if (fault === 'hang') return result.onHang()
    if (fault === 'cut') return void request.socket.destroy()
    if (typeof fault === 'object') return send(response, fault.status, fault.body)
    try {
      const [status, value] = await route(method, new URL(url, 'http://x'), body)
      if (fault === 'hang-after') return result.onHang()
      if (fault === 'cut-after') return void request.socket.destroy()
      send(response, status, value)
    } catch (thrown) {
      const error = errorFrom(thrown)
      send(response, error.status, { error: error.body() })
    }
  }
  async function route(method: string, url: URL, body: Buffer): Promise<[number, unknown]> {
    const [, first, id = '', action, name = ''] = url.pathname.split('/').map(decodeURIComponent)
    if (first !== 'sessions') throw new HoldfastError('not_found', 'No such route.')
    const json = () => parseLossless(body.toString())
    if (id === '' && method === 'POST') {
      const { session, created } = await engine.createSession(admin, createSessionSchema.parse(json()))
      return [created ? 201 : 200, { ok: true, session }]
    }
    if (action === undefined && method === 'PATCH') return [200, { session: await engine.patchSession(admin, id, json() as object) }]
    if (id === '')
      return [200, await engine.listSessions(admin, { ...Object.fromEntries(url.searchParams), limit: Number(url.searchParams.get('limit') ?? 100) })]
    if (action === undefined && method === 'GET') return [200, { session: await engine.getSession(admin, id) }]
    if (action === undefined && method === 'DELETE') return [200, { ok: (await engine.deleteSession(admin, id, 'keep')) === undefined }]
    if (action === 'status') return [200, await engine.status(admin, id)]
    if (action === 'result') return [200, { result: await engine.result(admin, id, url.searchParams.get('partial') === 'true') }]
    if (action === 'resume') return [200, { resumed: true, ...(await engine.resume(admin, id)) }]
    if (action === 'end') return [200, { session: await engine.endSession(admin, id) }]
    if (action === 'blobs') {
      const stored = await engine.putBlob(
        admin,
        id,
        name,
        (async function* () {
          yield new Uint8Array(body)
        })(),
      )
      return [stored === 'stored' ? 201 : 200, { ok: true }]
    }
    if (action === 'events' && method === 'POST') {
      const items = json()
      const { firstSeq, lastSeq, duplicate, results } = await engine.appendEvents(admin, id, Array.isArray(items) ? items : [items])
      return [201, { ok: true, first_seq: firstSeq, last_seq: lastSeq, duplicate, results }]
    }
    if (action === 'events') {
      const after = Number(url.searchParams.get('after') ?? 0)
      const events = (await result.events(id)).filter(event => event.header.seq > after)
      const last = events.at(-1)?.header.seq ?? after
      return [
        200,
        { events, epoch: engine.epoch, head_seq: last, floor_seq: 0, next_after: last, next_cursor: `${engine.epoch}.${last}`, has_more: false, resume: 'ok' },
      ]
    }
    throw new HoldfastError('not_found', 'No such route.')
  }
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const result: EngineServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    engine,
    requests,
    fault: () => undefined,
    onHang: () => undefined,
    async events(id) {
      const attachment = await engine.attach(admin, id)
      const events = []
      for (;;) {
        const delivery = await attachment.pull(1 << 20)
        if (!delivery || delivery.type === 'end') break
        if (delivery.type === 'events') events.push(...textsFromChunk(delivery.chunk).map(text => JSON.parse(text)))
      }
      attachment.close()
      return events
    },
    async stop() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
      await engine.close()
    },
  }
  return result
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
