import { readFileSync } from 'node:fs'
import { type ErrorBody, HoldfastError, isErrorCode, parseLossless } from '@holdfast/protocol/wire'
import { DEFAULT_URL, dataFolder, tokenFile } from './places.ts'

/** Nothing answered at the address; `cause` has the network's own error. */
export class UnreachableError extends Error {
  readonly url: string

  constructor(url: string, cause: unknown) {
    super(`Nothing answers at ${url}.`, { cause })
    this.name = 'UnreachableError'
    this.url = url
  }
}

/** Something answered that is no Holdfast server. */
export class StrangeAnswerError extends Error {
  readonly status: number

  constructor(url: string, status: number) {
    super(`${url} answered ${status}, but not as a Holdfast server does.`)
    this.name = 'StrangeAnswerError'
    this.status = status
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Parsed JSON; undefined for an empty body. */
  readonly body: unknown
}

export interface RequestOptions {
  readonly body?: unknown
  /** Sent as it is, with its media type. */
  readonly content?: { readonly bytes: Uint8Array | string; readonly mediaType: string }
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  /** Gives up on a server that hangs; 30 000 where absent. */
  readonly timeoutMs?: number
}

/** One server, and who asks. */
export interface Api {
  readonly url: string
  readonly token: string | undefined
  /** Rejects with HoldfastError for a refusal, UnreachableError, StrangeAnswerError. */
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>
  /** The answer's body as it comes. */
  stream(path: string, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>>
}

export function createApi(url: string, token: string | undefined): Api {
  const base = url.replace(/\/+$/, '')
  const headersOf = (options: RequestOptions): Record<string, string> => ({
    accept: 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(options.content ? { 'content-type': options.content.mediaType } : {}),
    ...options.headers,
  })
  async function send(method: string, path: string, options: RequestOptions): Promise<Response> {
    const body = options.content?.bytes ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
    try {
      const init: RequestInit = { method, headers: headersOf(options), ...(options.signal ? { signal: options.signal } : {}) }
      return await fetch(base + path, body === undefined ? init : { ...init, body: body as string })
    } catch (error) {
      if (options.signal?.aborted && !isTimeout(options.signal.reason)) throw error
      throw new UnreachableError(base, error)
    }
  }
  return {
    url: base,
    token,
    async request(method, path, options = {}) {
      const timeout = AbortSignal.timeout(options.timeoutMs ?? 30_000)
      const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
      const response = await send(method, path, { ...options, signal })
      const text = await response.text().catch(error => {
        throw new UnreachableError(base, error)
      })
      const body = text === '' ? undefined : parse(text)
      if (!response.ok) throw errorOf(base, response.status, body)
      if (text !== '' && body === undefined) throw new StrangeAnswerError(base, response.status)
      return { status: response.status, headers: response.headers, body }
    },
    async stream(path, signal) {
      const response = await send('GET', path, signal ? { signal } : {})
      if (!response.ok) throw errorOf(base, response.status, parse(await response.text()))
      return response.body ?? new ReadableStream({ start: controller => controller.close() })
    },
  }
}

const isTimeout = (reason: unknown): boolean => reason instanceof DOMException && reason.name === 'TimeoutError'

function parse(text: string): unknown {
  try {
    return parseLossless(text)
  } catch {
    return undefined
  }
}

function errorOf(url: string, status: number, body: unknown): Error {
  const error = (body as { error?: Partial<ErrorBody> } | undefined)?.error
  if (!error || !isErrorCode(error.code)) return new StrangeAnswerError(url, status)
  return new HoldfastError(error.code, error.message ?? error.code, error.details ?? {})
}

/** How a command finds its server: flags, then the environment, then the data folder. */
export interface Target {
  readonly url?: string | undefined
  readonly token?: string | undefined
  readonly dataDir?: string | undefined
}

/** The server that a command means, with the data folder's token where it is on this machine and none was given. */
export function apiFor(target: Target, env: NodeJS.ProcessEnv = process.env): Api {
  const url = target.url ?? (env.HOLDFAST_URL || DEFAULT_URL)
  return createApi(url, target.token ?? (env.HOLDFAST_TOKEN || undefined) ?? localToken(url, dataFolder(target.dataDir, env)))
}

/** The data folder's token, for servers on this machine only: it is never sent anywhere else. */
export function localToken(url: string, dataDir: string): string | undefined {
  if (!isLoopback(url)) return undefined
  try {
    return readFileSync(tokenFile(dataDir), 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}

function isLoopback(url: string): boolean {
  try {
    const { hostname } = new URL(url)
    return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
  } catch {
    return false
  }
}

export const sessionPath = (id: string): string => (id === '_feed' ? '/feed' : `/sessions/${encodeURIComponent(id)}`)
