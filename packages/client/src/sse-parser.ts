/** One dispatched record of an event stream. */
export interface SseRecord {
  /** `message` where the stream names none. */
  readonly event: string
  readonly data: string
  /** The last id that the stream gave, '' where none. */
  readonly id: string
}

export interface SseParser {
  /** Takes any piece of the stream, cut anywhere, also inside a character. */
  push(bytes: Uint8Array): SseRecord[]
  /** The server's wish for the time between tries, in ms. */
  readonly retryMs: number | undefined
}

/** Lines end in LF, CRLF or CR. */
const LINE_END = /\r\n|\n|\r/g

/** An event stream parser after the HTML standard (section 9.2.6), over bytes; what is unfinished at the end is never dispatched. */
export function createSseParser(): SseParser {
  const decoder = new TextDecoder('utf-8')
  let rest = ''
  /** The last piece ended in CR: a LF at the start of the next one belongs to it. */
  let afterCr = false
  let data: string[] = []
  let event = ''
  let id = ''
  let retryMs: number | undefined

  const field = (line: string): void => {
    const colon = line.indexOf(':')
    if (colon === 0) return
    const name = colon < 0 ? line : line.slice(0, colon)
    const from = colon < 0 ? line.length : line[colon + 1] === ' ' ? colon + 2 : colon + 1
    const value = line.slice(from)
    if (name === 'data') data.push(value)
    else if (name === 'event') event = value
    else if (name === 'id' && !value.includes('\0')) id = value
    else if (name === 'retry' && /^[0-9]+$/.test(value)) retryMs = Number(value)
  }

  const dispatch = (records: SseRecord[]): void => {
    if (data.length > 0) records.push({ event: event || 'message', data: data.join('\n'), id })
    data = []
    event = ''
  }

  return {
    push: bytes => {
      const records: SseRecord[] = []
      let text = decoder.decode(bytes, { stream: true })
      if (text === '') return records
      if (afterCr && text.startsWith('\n')) text = text.slice(1)
      afterCr = text.endsWith('\r')
      // `rest` holds no line end, so only the new text is searched.
      LINE_END.lastIndex = rest.length
      rest += text
      let start = 0
      for (let match = LINE_END.exec(rest); match; match = LINE_END.exec(rest)) {
        const line = rest.slice(start, match.index)
        start = LINE_END.lastIndex
        if (line === '') dispatch(records)
        else field(line)
      }
      rest = rest.slice(start)
      return records
    },
    get retryMs() {
      return retryMs
    },
  }
}
