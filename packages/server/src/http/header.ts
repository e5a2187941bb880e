import type { IncomingMessage } from 'node:http'

/**
 * A header by its lower-case name, all its values joined by commas; undefined where it is not there. Read from the raw list:
 * Node's own objects of all headers cost a stream that stays open more than the stream itself.
 */
export function headerOf({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>, name: string): string | undefined {
  let value: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const raw = rawHeaders[i] as string
    if (raw.length !== name.length || raw.toLowerCase() !== name) continue
    value = value === undefined ? (rawHeaders[i + 1] as string) : `${value}, ${rawHeaders[i + 1] as string}`
  }
  return value
}
