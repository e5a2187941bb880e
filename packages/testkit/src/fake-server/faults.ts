/** How the fake misbehaves; every one can be set while it runs. */
export interface FakeFaults {
  /** Upgrades end without an answer, as behind a proxy that knows no WebSocket. */
  refuseUpgrades: boolean
  /** Event streams are answered with a page of HTML. */
  refuseStreams: boolean
  /** The status to answer an HTTP request with, without a contract's body. */
  status: (method: string, path: string) => number | undefined
  /** A contract's refusal of an HTTP request, or of an input or attach over WebSocket. */
  refuse: (method: string, path: string, body: string) => { readonly code: string; readonly details?: Record<string, unknown> } | undefined
  /** Asked for every connection: it is cut within the byte after so many. */
  cutAfterBytes: () => number | undefined
  duplicate: (seq: number) => boolean
  skip: (seq: number) => boolean
  /** The event that kills every connection it is written to. */
  poison: (sessionId: string, seq: number) => boolean
  /** Connections stay open and bring nothing more. */
  stall: boolean
  /** Appends wake nobody. */
  deaf: boolean
  /** The effect happens, the answer gets lost: over HTTP with the connection. */
  loseAck: () => boolean
  /** Event streams are held back whole. */
  bufferStreams: boolean
  /** What a heartbeat says of a head. */
  heads: (sessionId: string, head: number) => number
  /** An error is answered again to the same URL, whatever became of its reason. */
  cacheErrors: boolean
}

export const noFaults = (): FakeFaults => ({
  refuseUpgrades: false,
  refuseStreams: false,
  status: () => undefined,
  refuse: () => undefined,
  cutAfterBytes: () => undefined,
  duplicate: () => false,
  skip: () => false,
  poison: () => false,
  stall: false,
  deaf: false,
  loseAck: () => false,
  bufferStreams: false,
  heads: (_id, head) => head,
  cacheErrors: false,
})

/** One attach, as the fake saw it. */
export interface SeenAttach {
  readonly transport: 'ws' | 'sse' | 'poll'
  readonly sessionId: string
  readonly cursor: string | undefined
  readonly mode: string
  /** Sessions on the same event stream, where it is a shared one. */
  readonly shared?: number
}

/** A writer that breaks off in the middle, once its budget is spent. */
export function createCutter(budget: number | undefined): { take(bytes: Buffer): { readonly bytes: Buffer; readonly cut: boolean } } {
  let left = budget ?? Number.POSITIVE_INFINITY
  return {
    take: bytes => {
      const cut = bytes.byteLength > left
      const part = cut ? bytes.subarray(0, Math.max(0, left)) : bytes
      left -= bytes.byteLength
      return { bytes: part, cut }
    },
  }
}
