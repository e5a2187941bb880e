import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { encodeControl, frameFromTexts } from '@holdfast/protocol/wire'
import { type WebSocket, WebSocketServer } from 'ws'
import { createCutter, type FakeFaults, type SeenAttach } from './faults.ts'
import { type FakeLog, planOf } from './log.ts'
import { createFakeReader, type FakeReader } from './reader.ts'

export interface SocketSide {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  heartbeat(): void
  goaway(reconnectInMs: number): void
  /** Ends every socket: with a close code, or without a word. */
  drop(code?: number): void
  readonly open: number
  readonly upgrades: number
}

interface Ports {
  readonly log: FakeLog
  readonly faults: FakeFaults
  readonly token: () => string | undefined
  readonly heartbeatMs: number
  readonly seen: SeenAttach[]
}

interface Frame {
  readonly type: string
  readonly header?: { readonly id?: string; readonly session_id?: string; readonly client_id?: string }
  readonly payload?: Record<string, unknown>
}

interface Peer {
  send(text: string): void
  heartbeat(): void
  close(code?: number): void
}

const PROTOCOLS = ['holdfast.v1+json', 'holdfast.v1+binary']

/** The frame of a server, unmasked; made here so that it can be cut anywhere. */
function frameOf(opcode: 1 | 2, payload: Buffer): Buffer {
  const { byteLength: length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = 0x80 | opcode
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127
  if (length >= 65_536) head.writeBigUInt64BE(BigInt(length), 2)
  else if (length >= 126) head.writeUInt16BE(length, 2)
  return Buffer.concat([head, payload])
}

/** The WebSocket side of the contract (section 3), one attachment per session and socket. */
export function createSocketSide(ports: Ports): SocketSide {
  const { log, faults, seen } = ports
  const server = new WebSocketServer({ noServer: true, handleProtocols: offered => [...offered][0] ?? false })
  const peers = new Set<Peer>()
  let upgrades = 0

  const serve = (ws: WebSocket, clientId: string): void => {
    const raw = (ws as unknown as { _socket: Duplex })._socket
    const binary = ws.protocol === 'holdfast.v1+binary'
    const cutter = createCutter(faults.cutAfterBytes())
    const readers = new Map<string, FakeReader>()
    const batch: string[] = []
    let watched: ReadonlySet<string> | 'all' | undefined
    let authorized = ports.token() === undefined
    let dead = false

    const write = (opcode: 1 | 2, payload: Buffer): void => {
      if (dead || faults.stall || ws.readyState !== ws.OPEN) return
      const { bytes, cut } = cutter.take(frameOf(opcode, payload))
      raw.write(bytes)
      if (cut) kill()
    }
    const send = (text: string): void => write(1, Buffer.from(text))
    const kill = (): void => {
      dead = true
      raw.end()
    }
    const control = (type: string, header: Record<string, unknown>, payload: unknown): void => {
      flush()
      send(encodeControl({ type, header, payload }))
    }
    const error = (header: Record<string, unknown>, code: string, retryable: boolean, details: Record<string, unknown> = {}): void =>
      control('protocol.error', header, { code, message: code, retryable, details })
    const flush = (): void => {
      if (batch.length > 0) write(2, Buffer.from(frameFromTexts(batch.splice(0))))
    }

    const attach = (sessionId: string, cursor: string | undefined, mode: string, replyTo: string | undefined, windowBytes?: number): void => {
      const session = log.sessions.get(sessionId)
      const reply = replyTo === undefined ? {} : { reply_to: replyTo }
      if (!session) return error({ session_id: sessionId, ...reply }, 'not_found', false)
      const plan = planOf(session, cursor, mode)
      if (!plan) return error({ session_id: sessionId, ...reply }, 'invalid_cursor', false)
      const reader = createFakeReader(
        session,
        plan,
        faults,
        {
          control: text => {
            flush()
            send(text)
          },
          // A large event comes as a text frame, also to binary readers.
          event: text => {
            if (binary && text.length < 4096) return void batch.push(text)
            flush()
            send(text)
          },
          flush,
          kill,
        },
        {
          reconnected: cursor !== undefined,
          heartbeatMs: ports.heartbeatMs,
          ...(replyTo === undefined ? {} : { replyTo }),
          ...(windowBytes ? { windowBytes } : {}),
        },
      )
      readers.set(sessionId, reader)
      reader.pump()
    }

    const watching = (kind: string): boolean => watched === 'all' || (watched?.has(kind) ?? false)
    const stop = log.listen((id, created) => {
      if (faults.deaf) return
      const session = log.sessions.get(id)
      if (created && session && watching(session.kind)) attach(id, undefined, 'replay', undefined)
      else readers.get(id)?.pump()
    })

    const take = (frame: Frame): void => {
      const { id, session_id: sessionId = '', client_id: sender = clientId } = frame.header ?? {}
      const payload = frame.payload ?? {}
      const reply = id === undefined ? {} : { reply_to: id }
      if (!authorized) {
        if (frame.type !== 'protocol.auth' || payload['token'] !== ports.token()) return ws.close(4401, 'unauthorized')
        authorized = true
        return control('protocol.ack', reply, { id: id ?? null, seq: null, duplicate: false })
      }
      const refusal = faults.refuse('WS', frame.type, JSON.stringify(frame))
      if (refusal) return error({ session_id: sessionId, ...reply }, refusal.code, false, refusal.details)
      switch (frame.type) {
        case 'protocol.auth':
          return control('protocol.ack', reply, { id: id ?? null, seq: null, duplicate: false })
        case 'protocol.ping':
          return control('protocol.pong', reply, {})
        case 'protocol.detach':
          readers.delete(sessionId)
          return
        case 'protocol.credit': {
          const reader = readers.get(sessionId)
          const seq = payload['seq'] as number
          if (!reader || seq > reader.sent) return error({ session_id: sessionId, ...reply }, 'invalid_request', false)
          reader.credit(seq)
          return reader.pump()
        }
        case 'protocol.resume': {
          const cursor = payload['last_seen_seq'] as string | undefined
          const mode = (payload['mode'] as string | undefined) ?? 'replay'
          seen.push({ transport: 'ws', sessionId, cursor, mode })
          return attach(sessionId, cursor, mode, id, payload['window_bytes'] as number | undefined)
        }
        case 'protocol.watch': {
          const kinds = payload['kinds'] as string[] | undefined
          watched = kinds ? new Set(kinds) : 'all'
          for (const session of log.sessions.values()) if (watching(session.kind)) attach(session.id, undefined, 'live', undefined)
          return control('protocol.watching', reply, { kinds: kinds ?? null, sessions: readers.size })
        }
      }
      if (!log.sessions.has(sessionId)) return error({ session_id: sessionId, ...reply }, 'not_found', false)
      const answer = log.input(sessionId, sender, id ?? '', frame.type, payload)
      if (answer === 'conflict') return error({ session_id: sessionId, ...reply }, 'conflict', false)
      if (!faults.loseAck()) control('protocol.ack', { session_id: sessionId, ...reply }, { id, ...answer })
    }

    const peer: Peer = {
      send,
      heartbeat: () => {
        const heads: Record<string, number> = {}
        for (const id of readers.keys()) heads[id] = faults.heads(id, log.sessions.get(id)?.texts.length ?? 0)
        control('protocol.heartbeat', {}, { heads })
      },
      close: code => (code === undefined ? kill() : ws.close(code)),
    }
    peers.add(peer)
    ws.on('message', data => take(JSON.parse(String(data)) as Frame))
    ws.on('error', () => {})
    ws.on('close', () => {
      peers.delete(peer)
      stop()
    })
  }

  return {
    upgrade: (request, socket, head) => {
      upgrades++
      if (faults.refuseUpgrades) {
        socket.destroy()
        return
      }
      const url = new URL(request.url ?? '/', 'http://fake')
      server.handleUpgrade(request, socket, head, ws => {
        if (ws.protocol !== '' && !PROTOCOLS.includes(ws.protocol)) return ws.close(4426)
        serve(ws, url.searchParams.get('client_id') ?? 'anonymous')
      })
    },
    heartbeat: () => {
      for (const peer of [...peers]) peer.heartbeat()
    },
    goaway: reconnectInMs => {
      for (const peer of [...peers]) {
        peer.send(encodeControl({ type: 'protocol.goaway', header: {}, payload: { reconnect_in_ms: reconnectInMs } }))
        peer.close(1001)
      }
    },
    drop: code => {
      for (const peer of [...peers]) peer.close(code)
    },
    get open() {
      return peers.size
    },
    get upgrades() {
      return upgrades
    },
  }
}
