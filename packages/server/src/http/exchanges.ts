import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { createStallWatch, type StallWatch } from '../stream/stall.ts'

/** Requests that one connection may send ahead of their answers; one that sends more is cut off. */
const MAX_PIPELINED = 64

type Handle = (request: IncomingMessage, response: ServerResponse) => void

/** Requests and their answers, one after the other on each connection, so that a peer that pipelines and never reads costs one answer and not all. */
export interface Exchanges {
  /** Handles it now, or once the answers before it on this connection are out. */
  take(request: IncomingMessage, response: ServerResponse): void
  /** True while an answer on this connection has begun: nothing else may be written there. */
  hasBegun(socket: Socket): boolean
  /** Cuts off who has taken nothing of an answer for too long. */
  tick(nowMs: number): void
  /** Answers that are not out yet. */
  readonly size: number
}

interface Lane {
  current: ServerResponse
  readonly stall: StallWatch
  readonly waiting: (() => void)[]
}

export function createExchanges(handle: Handle, stallMs: number): Exchanges {
  const lanes = new Map<Socket, Lane>()

  const begin = (lane: Lane, socket: Socket, request: IncomingMessage, response: ServerResponse): void => {
    lane.current = response
    response.once('close', () => {
      const next = socket.destroyed ? undefined : lane.waiting.shift()
      if (next) next()
      else lanes.delete(socket)
    })
    handle(request, response)
  }

  return {
    take(request, response) {
      const { socket } = request
      const lane = lanes.get(socket)
      if (!lane) {
        const fresh: Lane = { current: response, stall: createStallWatch(socket, stallMs), waiting: [] }
        lanes.set(socket, fresh)
        return begin(fresh, socket, request, response)
      }
      if (lane.waiting.length >= MAX_PIPELINED) return void socket.destroy()
      lane.waiting.push(() => begin(lane, socket, request, response))
    },
    hasBegun: socket => lanes.get(socket)?.current.headersSent === true,
    tick(nowMs) {
      for (const [socket, lane] of lanes) if (lane.stall.isStalled(nowMs, socket.writableLength > 0)) socket.destroy()
    },
    get size() {
      return lanes.size
    },
  }
}
