import { readFileSync } from 'node:fs'

/** Bytes of memory that the kernel holds for all TCP sockets of this machine (Linux). */
export function socketMemory(): number {
  return Number(/^TCP: .* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))?.[1] ?? Number.NaN) * 4096
}

/** What the kernel lets all TCP sockets of this machine have together (Linux). */
export function socketMemoryLimit(): number {
  return Number(readFileSync('/proc/sys/net/ipv4/tcp_mem', 'utf8').trim().split(/\s+/)[2]) * 4096
}

/** The connections of a server on this port of 127.0.0.1 whose peer has yet to take something, and how many bytes that is (Linux). */
export function sendQueues(port: number): { readonly sockets: number; readonly bytes: number } {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let sockets = 0
  let bytes = 0
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    // sl, local, remote, state (01: established), tx_queue:rx_queue
    const [, from, , state, queues] = line.trim().split(/\s+/)
    if (from !== local || state !== '01') continue
    const waiting = Number.parseInt(queues?.split(':')[0] ?? '', 16)
    if (!(waiting > 0)) continue
    sockets++
    bytes += waiting
  }
  return { sockets, bytes }
}
