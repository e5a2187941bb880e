import { UsageError } from '../failure.ts'

/** One line of a recording; `afterMs` is the time since the one before. */
export interface CastEvent {
  readonly afterMs: number
  readonly code: string
  readonly data: string
}

export interface CastHeader {
  readonly cols: number
  readonly rows: number
}

export type CastPart = ({ readonly type: 'header' } & CastHeader) | ({ readonly type: 'event' } & CastEvent)

/** Reads an asciicast, version 3 (or 2, whose times count from the start), line by line; throws UsageError for anything else. */
export async function* readCast(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<CastPart> {
  let version = 0
  let lastMs = 0
  for await (const line of linesOf(chunks)) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const value = parsed(line)
    if (version === 0) {
      const header = (value ?? {}) as { version?: unknown; width?: number; height?: number; term?: { cols?: number; rows?: number } }
      if (header.version !== 3 && header.version !== 2) throw new UsageError('This is no asciicast of version 2 or 3.')
      version = header.version
      yield { type: 'header', cols: header.term?.cols ?? header.width ?? 80, rows: header.term?.rows ?? header.height ?? 24 }
      continue
    }
    // The last line of a recording that was cut off is not there.
    if (!Array.isArray(value) || typeof value[0] !== 'number' || typeof value[1] !== 'string' || typeof value[2] !== 'string') continue
    const ms = value[0] * 1000
    const afterMs = version === 3 ? ms : Math.max(0, ms - lastMs)
    lastMs = ms
    yield { type: 'event', afterMs, code: value[1], data: value[2] }
  }
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
