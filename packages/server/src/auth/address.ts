import { isIPv4, isIPv6 } from 'node:net'
import { shortIPv6 } from './host.ts'

/** An IP address without zone, port or brackets, IPv4 inside IPv6 as IPv4; undefined for anything else (`unknown`, a name, nothing). */
export function addressFromText(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const trimmed = text.trim()
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(trimmed)?.[1]
  const bare = (bracketed ?? trimmed).replace(/%.*$/, '')
  const withoutPort = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(bare)?.[1] ?? bare
  if (isIPv4(withoutPort)) return withoutPort
  if (!isIPv6(withoutPort)) return undefined
  const short = shortIPv6(withoutPort)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short)
  if (!mapped) return short
  const high = Number.parseInt(mapped[1] ?? '0', 16)
  const low = Number.parseInt(mapped[2] ?? '0', 16)
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** True for an address of this machine's loopback, however it is written; false where there is none. */
export function isLoopbackAddress(text: string | undefined): boolean {
  const address = addressFromText(text)
  return address !== undefined && (address === '::1' || (isIPv4(address) && address.startsWith('127.')))
}

/** What failures are counted by: an IPv4 address, or the /64 of an IPv6 one, since one host has a whole /64 to hop about in. */
export function addressKey(text: string | undefined): string {
  const address = addressFromText(text)
  if (address === undefined) return 'unknown'
  if (isIPv4(address)) return address
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return `${groups.slice(0, 4).join(':')}::/64`
}
