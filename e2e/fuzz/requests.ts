import type { SeededRandom } from '@holdfast/testkit/sim'
import { mostly, someBytes, someCursor, someId, someJson, someNumber, someSession, someWord, spoiled } from './pieces.ts'

export interface FuzzRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'SEARCH']

/** Routes with the method that they have; `:id` is filled in. */
const ROUTES: readonly (readonly [string, string])[] = [
  ['POST', '/sessions'],
  ['GET', '/sessions'],
  ['GET', '/sessions/:id'],
  ['PATCH', '/sessions/:id'],
  ['DELETE', '/sessions/:id'],
  ['GET', '/sessions/:id/status'],
  ['GET', '/sessions/:id/result'],
  ['POST', '/sessions/:id/events'],
  ['GET', '/sessions/:id/events'],
  ['POST', '/sessions/:id/inputs'],
  ['POST', '/sessions/:id/resume'],
  ['POST', '/sessions/:id/end'],
  ['GET', '/sessions/:id/snapshot'],
  ['PUT', '/sessions/:id/blobs/:sha'],
  ['GET', '/sessions/:id/blobs/:sha'],
  ['GET', '/sessions/:id/export'],
  ['GET', '/feed/events'],
  ['POST', '/events'],
  ['GET', '/events'],
  ['GET', '/events/:id'],
  ['POST', '/tokens'],
  ['GET', '/tokens'],
  ['DELETE', '/tokens/:id'],
  ['POST', '/tickets'],
  ['GET', '/healthz'],
  ['GET', '/readyz'],
  ['GET', '/schema.json'],
  ['GET', '/openapi.json'],
  ['GET', '/metrics'],
  ['GET', '/ws'],
  ['GET', '/'],
  ['GET', '/:id'],
  ['GET', '/:id/:id'],
  ['GET', 'http://['],
  ['GET', '*'],
]
/** The routes that most of what can go wrong lies behind. */
const BUSY = ROUTES.filter(([, path]) => path.endsWith('/events') || path.endsWith('/inputs') || path === '/sessions')

const PARAMETERS: Readonly<Record<string, (random: SeededRandom) => string>> = {
  after: someCursor,
  cursor: someCursor,
  last_seen_seq: someCursor,
  before: someCursor,
  limit: someNumber,
  mode: someWord,
  client_id: someId,
  session_id: someId,
  on_missing: someWord,
  window_bytes: someNumber,
  owner: someWord,
  kind: someWord,
  status: someWord,
  page: someCursor,
  children: someWord,
  partial: someWord,
  at: someNumber,
  format: someWord,
  ticket: someWord,
  attach: random => `${someId(random)}@${someCursor(random)}`,
  wait: random => mostly(random, String(random.int(20)), () => random.pick(['-1', 'x', '1.5', ''])),
}

export function someQuery(random: SeededRandom): string {
  const names = Object.keys(PARAMETERS)
  const parts = Array.from({ length: random.chance(0.5) ? 0 : random.int(4) }, () => {
    const name = random.pick(names)
    const value = PARAMETERS[name]?.(random) ?? ''
    return `${name}=${random.chance(0.9) ? encodeURIComponent(value.toWellFormed()) : value.replace(/[^\x21-\x7e]/g, '%')}`
  })
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

function someItem(random: SeededRandom): unknown {
  const good = {
    event_type: random.pick(['message', 'pre_tool', 'session_stop', 'a.b-c']),
    role: random.pick(['user', 'assistant', 7]),
    content: random.pick(['x', 'é😀', '', [{ type: 'text', text: 't' }]]),
  }
  const extra = random.chance(0.4) ? { id: mostly(random, `i${random.int(200)}`, () => someWord(random)) } : {}
  return mostly<unknown>(random, { ...good, ...extra }, () => (random.chance(0.5) ? { ...good, ...(someJson(random, 2) as object) } : someJson(random)))
}

const NUMBERS_IN_JSON = ['12345678901234567890', '1e999', '-0', '0.1000000000000000055', '1E+2']

/** What a request to this route would carry, more or less. */
function someBody(random: SeededRandom, path: string): unknown {
  if (random.chance(0.1)) return someJson(random)
  if (path.endsWith('/inputs'))
    return {
      type: mostly(random, random.pick(['session.append', 'session.rename', 'session.end', 'chat.send', 'terminal.input']), () => someWord(random)),
      ...(random.chance(0.5) ? { id: `n${random.int(100)}` } : {}),
      payload: mostly<unknown>(random, { events: [someItem(random)], session_name: 'n' }, () => someJson(random)),
    }
  if (path.endsWith('/events'))
    return path === '/events' || random.chance(0.1)
      ? { session_id: someId(random), ...(someItem(random) as object) }
      : random.chance(0.5)
        ? someItem(random)
        : Array.from({ length: random.int(5) }, () => someItem(random))
  if (path === '/sessions')
    return {
      session_id: someId(random),
      session_name: mostly(random, 'n', () => someWord(random)),
      ...(random.chance(0.3) ? (someJson(random, 2) as object) : {}),
    }
  if (path === '/tokens')
    return {
      subject: mostly(random, 'u', () => someWord(random)),
      scopes: mostly<unknown>(random, ['read'], () => someJson(random, 1)),
      ...(random.chance(0.3) ? { expires_at: someWord(random) } : {}),
    }
  if (path === '/tickets')
    return { scope: mostly(random, 'read', () => someWord(random)), session_id: someId(random), ...(random.chance(0.3) ? { stream: random.chance(0.5) } : {}) }
  return someJson(random, 3)
}

function encoded(random: SeededRandom, path: string): Buffer {
  let text = JSON.stringify(someBody(random, path)) ?? 'undefined'
  if (random.chance(0.05)) text = text.replace(/\d+/, random.pick(NUMBERS_IN_JSON))
  if (random.chance(0.02)) text = `${'['.repeat(random.pick([199, 200, 201, 5000]))}${text}`
  if (random.chance(0.04)) text = `{"event_type":"m","x":"${'y'.repeat(random.pick([200_000, 262_144, 300_000]))}"}`
  return random.chance(0.15) ? spoiled(random, text) : Buffer.from(text)
}

const HEADERS: Readonly<Record<string, (random: SeededRandom) => string>> = {
  'idempotency-key': random => mostly(random, `k${random.int(50)}`, () => someWord(random)),
  'last-event-id': someCursor,
  'x-session-id': someId,
  origin: random => random.pick(['null', 'https://evil.example', '', 'http://127.0.0.1']),
  host: random => random.pick(['evil.example', '127.0.0.1:1', 'localhost', '', '[::1]', 'a b']),
  authorization: random => random.pick(['Bearer', 'Bearer x', 'Basic eDp5', '', `Bearer ${'x'.repeat(2000)}`]),
  accept: random => random.pick(['*/*', 'text/event-stream', 'application/json', '']),
  'content-encoding': random => random.pick(['gzip', 'identity', 'x']),
  range: random => random.pick(['bytes=0-1', 'bytes=-', 'x']),
  'if-none-match': () => '*',
  'x-forwarded-for': () => '1.2.3.4',
  expect: random => random.pick(['100-continue', 'x']),
  cookie: someWord,
  upgrade: random => random.pick(['h2c', 'websocket', 'x']),
}

const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 6000)

/** One request, odd somewhere. */
export function someRequest(random: SeededRandom, token: string): FuzzRequest {
  const [method, template] = random.pick(random.chance(0.7) ? BUSY : ROUTES)
  const path = template
    .replace(':sha', random.pick(['a'.repeat(64), 'A'.repeat(64), 'x', '%00']))
    .replaceAll(':id', () => (random.chance(0.8) ? someSession(random) : someId(random)))
  const actual = mostly(random, method, () => random.pick(METHODS))
  const carries = actual !== 'GET' && actual !== 'HEAD' && actual !== 'TRACE' && random.chance(0.95)
  const body = carries ? (template.endsWith(':sha') ? someBytes(random, 2000) : encoded(random, template)) : undefined
  const headers: Record<string, string> = carries
    ? { 'content-type': mostly(random, 'application/json', () => random.pick(['application/x-ndjson', 'text/plain', '', 'application/json;charset=x'])) }
    : {}
  if (random.chance(0.3)) headers.authorization = `Bearer ${token}`
  if (random.chance(0.15)) headers.accept = 'text/event-stream'
  for (let count = random.chance(0.3) ? random.int(3) : 0; count > 0; count--) {
    const name = random.pick(Object.keys(HEADERS))
    headers[name] = printable(HEADERS[name]?.(random) ?? '')
  }
  const raw = `${path}${someQuery(random)}`
  // What Node's client would not send as it is; the raw rounds do.
  return { method: actual, path: raw.replace(/[^\x21-\x7e]/g, encodeURIComponent), headers, body }
}
