import type { Socket } from 'node:net'
import type { AttachOptions } from '@holdfast/core'
import type { WebSocket } from 'ws'
import type { Access, Host } from '../host.ts'

/** What the upgrade leaves behind of a request. */
export interface SocketOptions {
  readonly host: Host
  readonly socket: WebSocket
  readonly raw: Socket
  readonly isBinary: boolean
  /** Undefined until `protocol.auth` has come. */
  readonly access: Access | undefined
  readonly mayRaise: boolean
  readonly remoteAddress: string | undefined
  readonly clientId: string | undefined
  /** What the URL asks to attach at once. */
  readonly target: { readonly sessionId: string; readonly options: AttachOptions } | undefined
}
