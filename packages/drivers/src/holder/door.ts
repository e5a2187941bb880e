import { createServer, type Socket } from 'node:net'
import { bytesFromHolderFrame, type ClientFrame, clientFrameFrom, type HolderFrame, type StreamId } from './frames.ts'
import { createFrameReader } from './frame-reader.ts'
import { createOutputFeed, type OutputFeed } from './output-feed.ts'
import type { Spool } from './spool.ts'

/** Connections at a time: one reads, the others only look or kill. */
const MAX_CONNECTIONS = 16

/** What the frames of the connection that reads ask for; `answer` goes back to it, if it is still there. */
export interface DoorEvents {
  onRequest(frame: Exclude<ClientFrame, { type: 'read-from' | 'ack' | 'kill' | 'ping' }>, answer: (frame: HolderFrame) => void): void
  onAck(stream: StreamId, offset: number): void
  onKill(): void
}

/** A holder's socket. */
export interface Door {
  /** The program runs: connections get this hello, and so do those that wait already. */
  open(hello: () => unknown): void
  /** There is more in a stream's spool; `bytes` is the newest of it. */
  grown(stream: StreamId, bytes: Uint8Array): void
  /** Tells everybody how the program ended, and closes. */
  close(exit: unknown): void
  /** Closes without a word. */
  abandon(): void
}

/** Listens on a socket file, relative to the working folder, so that no path is too long for it. */
export function listenAt(path: string, spools: readonly Spool[], events: DoorEvents): Promise<Door> {
  const connections = new Set<Socket>()
  let hello: (() => unknown) | undefined
  let reader: { readonly socket: Socket; readonly feeds: Map<StreamId, OutputFeed> } | undefined

  const say = (socket: Socket, frame: HolderFrame): void => {
    if (!socket.destroyed && !socket.writableEnded) socket.write(bytesFromHolderFrame(frame))
  }
  const greet = (socket: Socket): void => {
    if (hello) say(socket, { type: 'hello', hello: hello() })
  }
  const dismiss = (socket: Socket, reason: string): void => {
    say(socket, { type: 'closing', reason })
    socket.destroySoon()
  }

  const readFrom = (socket: Socket, stream: StreamId, offset: number, windowBytes: number): void => {
    const spool = spools[stream]
    if (!spool || offset > spool.end || windowBytes < 1) return dismiss(socket, 'invalid')
    if (reader?.socket !== socket) {
      if (reader) dismiss(reader.socket, 'taken')
      reader = { socket, feeds: new Map() }
    }
    const feed = createOutputFeed(socket, stream, spool, offset, windowBytes)
    reader.feeds.set(stream, feed)
    feed.pump()
  }

  const onFrame = (socket: Socket, frame: ClientFrame): void => {
    if (frame.type === 'kill') return events.onKill()
    if (frame.type === 'ping') return say(socket, { type: 'done', request: frame.request, result: 'done' })
    if (!hello) return dismiss(socket, 'early')
    if (frame.type === 'read-from') return readFrom(socket, frame.stream, frame.offset, frame.windowBytes)
    if (reader?.socket !== socket) return dismiss(socket, 'invalid')
    if (frame.type === 'ack') {
      events.onAck(frame.stream, frame.offset)
      const feed = reader.feeds.get(frame.stream)
      feed?.ack(frame.offset)
      feed?.pump()
      return
    }
    events.onRequest(frame, answer => say(socket, answer))
  }

  const server = createServer(socket => {
    connections.add(socket)
    const bodiesFrom = createFrameReader()
    socket.on('data', chunk => {
      try {
        for (const body of bodiesFrom(chunk)) {
          const frame = clientFrameFrom(body)
          if (frame && !socket.writableEnded) onFrame(socket, frame)
        }
      } catch {
        dismiss(socket, 'invalid')
      }
    })
    socket.on('drain', () => {
      if (reader?.socket === socket) for (const feed of reader.feeds.values()) feed.pump()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      connections.delete(socket)
      if (reader?.socket === socket) reader = undefined
    })
    greet(socket)
  })
  server.maxConnections = MAX_CONNECTIONS

  const door: Door = {
    open(given) {
      hello = given
      for (const socket of connections) greet(socket)
    },
    grown: (stream, bytes) => reader?.feeds.get(stream)?.pump(bytes),
    close(exit) {
      server.close()
      for (const socket of connections) {
        say(socket, { type: 'exit', exit })
        socket.destroySoon()
      }
    },
    abandon() {
      server.close()
      for (const socket of connections) socket.destroy()
    },
  }
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve(door))
  })
}
