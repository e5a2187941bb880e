import net from 'node:net'
import type { SeededRandom } from '@holdfast/testkit/sim'

export interface CuttingProxy {
  readonly url: string
  /** Connections cut so far. */
  readonly cuts: number
  /** From now on nothing is cut. */
  calm(): void
  close(): Promise<void>
}

export interface CuttingProxyOptions {
  readonly targetPort: number
  readonly random: SeededRandom
  /** Of the connections, this share is cut, each after a random number of bytes in either direction. */
  readonly cutShare: number
  readonly maxBytes: number
}

/** A TCP proxy that cuts connections at random bytes, in midst of frames, headers and characters, on both sides at once. */
export async function createCuttingProxy({ targetPort, random, cutShare, maxBytes }: CuttingProxyOptions): Promise<CuttingProxy> {
  const sockets = new Set<net.Socket>()
  let isCalm = false
  let cuts = 0
  const server = net.createServer(near => {
    const far = net.connect(targetPort, '127.0.0.1')
    // Small counts as often as large ones: the first bytes of an answer are where most goes wrong.
    let left = !isCalm && random.chance(cutShare) ? Math.floor(maxBytes ** random.fraction()) : Number.POSITIVE_INFINITY
    const end = (): void => {
      near.destroy()
      far.destroy()
      sockets.delete(near)
      sockets.delete(far)
    }
    const forward = (from: net.Socket, to: net.Socket): void => {
      sockets.add(from)
      from.on('error', end)
      from.on('close', end)
      from.on('data', data => {
        if (isCalm) left = Number.POSITIVE_INFINITY
        const part = data.subarray(0, Math.min(data.length, left))
        left -= data.length
        const open = to.write(part)
        if (left <= 0) {
          cuts++
          end()
        } else if (!open) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
    }
    forward(near, far)
    forward(far, near)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    get cuts() {
      return cuts
    },
    calm() {
      isCalm = true
    },
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise(resolve => server.close(() => resolve()))
    },
  }
}
