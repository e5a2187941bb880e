import type { Server } from './processes.ts'
import { connectWs } from './ws-client.ts'

/** An open socket that is attached to nothing and resumes sessions again and again. */
export interface Resumer {
  /** ms from sending `protocol.resume` with the cursor one behind `head` until that event is here; then waits for the rest and detaches. */
  resume(session: string, head: number): Promise<number>
  close(): void
}

export async function openResumer(server: Server): Promise<Resumer> {
  let onText: (payload: Buffer) => void = () => undefined
  let fail: (error: Error) => void = () => undefined
  const client = await connectWs({
    url: `${server.url.replace('http', 'ws')}/ws`,
    token: server.token,
    onFrame: (opcode, payload) => (opcode === 1 ? onText(payload) : undefined),
    onClose: () => fail(new Error('the connection was closed')),
  })
  const answer = (text: string, isLast: (payload: Buffer) => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      fail = reject
      onText = payload => {
        if (payload.subarray(0, ERROR.length).equals(ERROR)) reject(new Error(payload.toString()))
        else if (isLast(payload)) resolve()
      }
      client.send(text)
    })
  return {
    async resume(session, head) {
      const events: string[] = []
      let had = 0
      const begun = performance.now()
      await answer(`{"type":"protocol.resume","header":{"session_id":"${session}"},"payload":{"last_seen_seq":${head - 1}}}`, payload => {
        // The type stands first in every message: what is no control message is an event.
        if (!payload.subarray(0, CONTROL.length).equals(CONTROL)) {
          had ||= performance.now()
          events.push(payload.toString())
        }
        return payload.subarray(0, CAUGHT_UP.length).equals(CAUGHT_UP)
      })
      const seqs = events.map(text => (JSON.parse(text) as { header: { seq: number } }).header.seq)
      if (seqs.length !== 1 || seqs[0] !== head) throw new Error(`resumed ${session} at ${head - 1}, got the events ${seqs.join()}`)
      await answer(`{"type":"protocol.detach","header":{"session_id":"${session}"},"payload":{}}`, payload => payload.subarray(0, ACK.length).equals(ACK))
      return had - begun
    },
    close() {
      fail = () => undefined
      client.close()
    },
  }
}

const CONTROL = Buffer.from('{"type":"protocol.')
const CAUGHT_UP = Buffer.from('{"type":"protocol.caught_up"')
const ERROR = Buffer.from('{"type":"protocol.error"')
const ACK = Buffer.from('{"type":"protocol.ack"')
