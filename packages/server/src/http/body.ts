import type { IncomingMessage } from 'node:http'
import { deeperThan, HoldfastError, type Limits, MAX_DEPTH, parseLossless } from '@holdfast/protocol'
import { headerOf } from './header.ts'

/** What an input's envelope adds around an item: itself, its payload, a list. */
export const ENVELOPE_DEPTH = 3

export type BodyType = 'json' | 'ndjson'

/** The media type of a request with a body. Throws `unsupported_media_type`. */
export function bodyType(header: string | undefined): BodyType {
  const [name, ...parameters] = (header ?? '').toLowerCase().split(';')
  const charset = parameters.map(parameter => parameter.trim()).find(parameter => parameter.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset)
  if (isUtf8 && name?.trim() === 'application/json') return 'json'
  if (isUtf8 && name?.trim() === 'application/x-ndjson') return 'ndjson'
  throw new HoldfastError('unsupported_media_type', 'Send application/json or application/x-ndjson, in UTF-8.', { content_type: (header ?? '').slice(0, 128) })
}

const tooLarge = (max: number): HoldfastError => new HoldfastError('too_large', `A body has at most ${max} bytes.`, { limit: 'body_bytes', max })

/** The bytes of a body, at most `max`. Throws `too_large` without reading on. */
export async function readBytes(request: Request, max: number): Promise<Uint8Array> {
  const length = Number(request.headers.get('content-length') ?? Number.NaN)
  if (length > max) throw tooLarge(max)
  try {
    if (!Number.isNaN(length)) return new Uint8Array(await request.arrayBuffer())
    const pieces: Uint8Array[] = []
    let bytes = 0
    for await (const piece of piecesOf(request)) {
      bytes += piece.byteLength
      if (bytes > max) throw tooLarge(max)
      pieces.push(piece)
    }
    return Buffer.concat(pieces)
  } catch (thrown) {
    throw thrown instanceof HoldfastError ? thrown : cutShort(thrown)
  }
}

const cutShort = (cause: unknown): HoldfastError => new HoldfastError('invalid_request', 'The body ended before it was whole.', {}, { cause })

/** A body as it comes. Throws `invalid_request` where the sender goes away in the middle. */
export async function* piecesOf(request: Request): AsyncGenerator<Uint8Array> {
  if (!request.body) return
  try {
    yield* request.body as unknown as AsyncIterable<Uint8Array>
  } catch (thrown) {
    throw cutShort(thrown)
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function textFromBytes(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new HoldfastError('invalid_request', 'The body is not UTF-8.', {}, { cause })
  }
}

function parseJson(text: string, where: string, maxDepth: number): unknown {
  let value: unknown
  try {
    value = parseLossless(text)
  } catch (cause) {
    throw new HoldfastError('invalid_request', `${where} is not JSON: ${cause instanceof Error ? cause.message.slice(0, 120) : ''}`, {}, { cause })
  }
  if (deeperThan(value, maxDepth)) throw new HoldfastError('invalid_request', `JSON may be nested ${MAX_DEPTH} deep.`, { limit: 'depth', max: MAX_DEPTH })
  return value
}

/** A body that is one JSON object. `isOptional` takes none at all as `{}`; `maxDepth` is for bodies that only carry what is looked at again. */
export async function readObject(request: Request, limits: Limits, { isOptional = false, maxDepth = MAX_DEPTH } = {}): Promise<Record<string, unknown>> {
  if (isOptional && !hasBody(request)) return {}
  if (bodyType(request.headers.get('content-type') ?? undefined) !== 'json') throw new HoldfastError('unsupported_media_type', 'Send application/json here.')
  const text = textFromBytes(await readBytes(request, limits.body_bytes))
  if (isOptional && text.trim() === '') return {}
  const value = parseJson(text, 'The body', maxDepth)
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new HoldfastError('invalid_request', 'The body is one JSON object.')
  return value as Record<string, unknown>
}

/** Items of a post: one object, an array, or a line each. */
export function itemsFromBytes(contentType: string | undefined, bytes: Uint8Array): unknown[] {
  const type = bodyType(contentType)
  const text = textFromBytes(bytes)
  if (type === 'json') {
    // A list around the items does not count; each item is looked at again.
    const value = parseJson(text, 'The body', MAX_DEPTH + 1)
    return Array.isArray(value) ? value : [value]
  }
  const items: unknown[] = []
  text.split('\n').forEach((line, index) => {
    if (line.trim() !== '') items.push(parseJson(line, `Line ${index + 1}`, MAX_DEPTH))
  })
  return items
}

/** The bytes of a body as Node gives it, at most `max`. Rejects with `too_large` without reading on. */
export function readMessageBytes(request: IncomingMessage, max: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let bytes = 0
    if (Number(headerOf(request, 'content-length') ?? 0) > max) return reject(tooLarge(max))
    request.on('data', (piece: Buffer) => {
      bytes += piece.byteLength
      if (bytes > max) {
        request.pause()
        return reject(tooLarge(max))
      }
      pieces.push(piece)
    })
    request.on('end', () => resolve(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, bytes)))
    request.on('error', cause => reject(cutShort(cause)))
    request.on('close', () => {
      if (!request.complete) reject(cutShort(undefined))
    })
  })
}

const hasBody = (request: Request): boolean => request.headers.has('transfer-encoding') || Number(request.headers.get('content-length') ?? 0) > 0
