import type { Arrival } from '../host.ts'
import { addressFromText, isLoopbackAddress } from './address.ts'

/** Where a request comes from, as far as that can be trusted. */
export interface ClientPlace {
  /** The nearest address that is not our own proxy's; undefined where none is known. */
  readonly address: string | undefined
  /** Nobody but this machine's users can have sent it. */
  readonly isLocal: boolean
  /** TLS ends at the server or at its trusted proxy. */
  readonly isTls: boolean
}

const listOf = (header: string | undefined): string[] => (header === undefined ? [] : header.split(',').map(entry => entry.trim()))

/**
 * Reads the place of a client (OPS-06). Without a trusted proxy forwarding headers prove nothing, but show that somebody forwards: a proxy or tunnel on this
 * machine makes the whole world look like loopback, so such a request is not local. With one, the last `X-Forwarded-For` entry is the client as that
 * proxy saw it (those before it are the client's own claim), and a request is local only where every entry is.
 */
export function clientPlace(arrival: Pick<Arrival, 'remoteAddress' | 'forwarded' | 'isTls'>, trustProxy: boolean): ClientPlace {
  const { remoteAddress, forwarded } = arrival
  const isNear = isLoopbackAddress(remoteAddress)
  const isForwarded = Object.values(forwarded).some(header => header !== undefined)
  if (!trustProxy) return { address: addressFromText(remoteAddress), isLocal: isNear && !isForwarded, isTls: arrival.isTls }

  const chain = listOf(forwarded.for)
  const isLocal = isNear && (isForwarded ? chain.length > 0 && forwarded.standard === undefined && chain.every(isLoopbackAddress) : true)
  return {
    address: addressFromText(chain.at(-1)) ?? addressFromText(remoteAddress),
    isLocal,
    isTls: arrival.isTls || listOf(forwarded.proto).at(-1)?.toLowerCase() === 'https',
  }
}

/** The hosts that a request names: its own, and those that a trusted proxy says it was asked for. All must pass: a page on a rebound name can add headers, but not change Host. */
export const hostsOf = (arrival: Pick<Arrival, 'host' | 'forwarded'>, trustProxy: boolean): readonly (string | undefined)[] =>
  trustProxy && arrival.forwarded.host !== undefined ? [arrival.host, ...listOf(arrival.forwarded.host)] : [arrival.host]
