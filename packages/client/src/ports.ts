/** Time as the client sees it; a test passes its own. */
export interface Clock {
  /** Monotonic, in ms; its zero means nothing. */
  nowMs(): number
  /** Since 1970, in ms, for what outlives the program; without it nothing kept is ever too old. */
  wallMs?(): number
  /** Calls back once after `ms`; the answer cancels it. */
  after(ms: number, callback: () => void): () => void
}

/** Chance as the client sees it; a test passes a seeded one. */
export interface Random {
  /** In [0, 1). */
  next(): number
  /** An id that nobody else has made, of the contract's form. */
  id(): string
}

/** Where cursors, unacknowledged inputs and the client id outlive a reload; may answer at once or later. */
export interface KeyValueStore {
  get(key: string): string | null | undefined | Promise<string | null | undefined>
  set(key: string, value: string): void | Promise<void>
  delete(key: string): void | Promise<void>
}

/** What the surroundings tell about the network; `watch` calls back when it is worth trying again at once. */
export interface Signals {
  online(): boolean
  watch(listener: () => void): () => void
}

export type FetchLike = (input: string, init?: RequestInit) => Promise<Response>

/** The part of WebSocket that the client uses; the global one and the `ws` package both have it. */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(data: string): void
  close(code?: number, reason?: string): void
}
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike

/** A token, or where to get a fresh one; asked again for every connection and once more after a refusal. */
export type TokenSource = string | (() => string | undefined | Promise<string | undefined>)
