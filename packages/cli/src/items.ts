import { DEFAULT_LIMITS, parseLossless } from '@holdfast/protocol'
import { UsageError } from './failure.ts'

/** Events that are posted at once: all or nothing. */
export interface Batch {
  readonly items: readonly unknown[]
}

const BATCH_EVENTS = 500
/** Far below the limit of a body, so that a batch of lines is sent while more come. */
const BATCH_BYTES = DEFAULT_LIMITS.body_bytes / 4

/**
 * Events from a stream of JSON: one object per line, given as they come, or else one value (an object or an array) over any number of lines.
 * Throws UsageError where it is neither.
 */
export async function* itemBatches(input: AsyncIterable<Uint8Array>): AsyncGenerator<Batch> {
  const texts = textsOf(input)
  let rest = ''
  let lineNumber = 0
  for (let next = await texts.next(); !next.done; next = await texts.next()) {
    rest += next.value
    const end = rest.lastIndexOf('\n')
    if (end < 0) continue
    const lines = rest.slice(0, end).split('\n')
    const first = lines.find(line => line.trim() !== '')
    // The first line shows which form it is.
    if (lineNumber === 0 && first !== undefined && !isWhole(first)) {
      for (let more = await texts.next(); !more.done; more = await texts.next()) rest += more.value
      const value = parse(rest, 'Standard input')
      yield* pack(Array.isArray(value) ? value : [value])
      return
    }
    rest = rest.slice(end + 1)
    yield* packed(lines, lineNumber)
    if (first !== undefined) lineNumber += lines.length
  }
  if (rest.trim() !== '') yield* packed([rest], lineNumber)
}

async function* textsOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for await (const chunk of input) yield decode(decoder, chunk)
  yield decode(decoder)
}

function* packed(lines: readonly string[], before: number): Generator<Batch> {
  const values = lines.flatMap((line, index) => {
    if (line.trim() === '') return []
    const value = parse(line, `Line ${before + index + 1} of standard input`)
    return Array.isArray(value) ? value : [value]
  })
  yield* pack(values)
}

function* pack(values: readonly unknown[]): Generator<Batch> {
  let items: unknown[] = []
  let bytes = 0
  for (const value of values) {
    const size = Buffer.byteLength(JSON.stringify(value))
    if (items.length > 0 && (items.length >= BATCH_EVENTS || bytes + size > BATCH_BYTES)) {
      yield { items }
      items = []
      bytes = 0
    }
    items.push(value)
    bytes += size
  }
  if (items.length > 0) yield { items }
}

function isWhole(line: string): boolean {
  try {
    parseLossless(line)
    return true
  } catch {
    return false
  }
}

function parse(text: string, what: string): unknown {
  try {
    return parseLossless(text)
  } catch (error) {
    throw new UsageError(`${what} is not JSON: ${(error as Error).message}`)
  }
}

function decode(decoder: InstanceType<typeof TextDecoder>, chunk?: Uint8Array): string {
  try {
    return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode()
  } catch {
    throw new UsageError('Standard input is not UTF-8.')
  }
}
