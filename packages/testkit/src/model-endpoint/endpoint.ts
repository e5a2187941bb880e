import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { anthropicFormat } from './anthropic.ts'
import { type AnswerIds, type ModelFormat, type ModelRequest, type Script, tokensOf } from './model.ts'
import { sayWhatWasSeen } from './script.ts'

export interface ModelEndpoint {
  /** What an agent is given as base URL, without `/v1`. */
  readonly url: string
  /** Every request for an answer, in the order in which they came. */
  readonly requests: readonly ModelRequest[]
  /** Methods and paths that it did not know. */
  readonly unknown: readonly string[]
  close(): Promise<void>
}

export interface ModelEndpointOptions {
  readonly script?: Script
  /** Names that `GET /v1/models` lists. */
  readonly models?: readonly string[]
}

const FORMATS: readonly ModelFormat[] = [anthropicFormat]

/** A model behind HTTP on a free port of loopback, which answers by a script and remembers what it was asked; for agents under test, offline. */
export async function startModelEndpoint({ script = sayWhatWasSeen, models = ['claude-sonnet-4-5'] }: ModelEndpointOptions = {}): Promise<ModelEndpoint> {
  const requests: ModelRequest[] = []
  const unknown: string[] = []
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else sendJson(response, 500, { type: 'error', error: { type: 'api_error', message: String(error) } })
    })
  })

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(incoming.url ?? '/', 'http://localhost').pathname
    if (incoming.method === 'GET' && path === '/v1/models')
      return sendJson(response, 200, { object: 'list', data: models.map(id => ({ id, object: 'model', type: 'model', display_name: id })), has_more: false })
    if (incoming.method === 'HEAD') return void response.writeHead(200).end()
    const text = await textOf(incoming)
    if (incoming.method === 'POST' && path === '/v1/messages/count_tokens') return sendJson(response, 200, { input_tokens: tokensOf(text) })
    const format = FORMATS.find(candidate => incoming.method === 'POST' && candidate.path === path)
    if (!format) {
      unknown.push(`${incoming.method} ${path}`)
      return sendJson(response, 404, { type: 'error', error: { type: 'not_found_error', message: `Nothing at ${path}.` } })
    }
    const request = format.parse(JSON.parse(text))
    requests.push(request)
    await answer(format, request, response)
  }

  async function answer(format: ModelFormat, request: ModelRequest, response: ServerResponse): Promise<void> {
    const given = await script(request)
    const ids = idsOf(request)
    if (given.status !== undefined) return sendJson(response, given.status, { type: 'error', error: { type: 'overloaded_error', message: 'Scripted.' } })
    if (!request.stream) return sendJson(response, 200, format.document(given, request, ids))
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    for await (const piece of format.stream(given, request, ids)) {
      if (response.destroyed) return
      response.write(piece)
    }
    response.end()
  }

  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    unknown,
    close() {
      server.closeAllConnections()
      return new Promise(resolve => server.close(() => resolve()))
    },
  }
}

/** From the messages alone: the same request gets the same ids, another one others. */
function idsOf(request: ModelRequest): AnswerIds {
  const hash = createHash('sha256').update(JSON.stringify(request.messages)).digest('hex').slice(0, 20)
  return { message: `msg_${hash}`, tool: index => `toolu_${hash}${index}` }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
