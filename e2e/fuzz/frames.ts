import type { SeededRandom } from '@holdfast/testkit/sim'
import { mostly, someBytes, someCursor, someId, someJson, someWord, spoiled } from './pieces.ts'

/** A frame as a client sends it (RFC 6455, section 5.2); what is left out is right. */
export function frame(payload: Buffer, odd: { opcode?: number; fin?: boolean; rsv?: number; masked?: boolean; length?: bigint } = {}): Buffer {
  const { opcode = 1, fin = true, rsv = 0, masked = true } = odd
  const length = odd.length ?? BigInt(payload.length)
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode]
  const bit = masked ? 0x80 : 0
  if (length < 126n) head.push(bit | Number(length))
  else if (length < 65_536n) head.push(bit | 126, Number(length >> 8n), Number(length & 255n))
  else {
    head.push(bit | 127)
    for (let shift = 56n; shift >= 0n; shift -= 8n) head.push(Number((length >> shift) & 255n))
  }
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([Buffer.from(head), masked ? Buffer.alloc(4) : Buffer.alloc(0), payload])
}

const TYPES = [
  'protocol.auth',
  'protocol.resume',
  'protocol.detach',
  'protocol.credit',
  'protocol.ping',
  'protocol.watch',
  'session.append',
  'session.rename',
  'session.end',
  'chat.send',
  'protocol.hello',
  'run.message',
]

function someMessage(random: SeededRandom): string {
  const type = mostly(random, random.pick(TYPES), () => someWord(random))
  const header = mostly<unknown>(
    random,
    { id: `w${random.int(100)}`, session_id: someId(random), ...(random.chance(0.3) ? { client_id: someId(random) } : {}) },
    () => someJson(random, 2),
  )
  const payload = mostly<unknown>(
    random,
    {
      last_seen_seq: random.chance(0.5) ? someCursor(random) : random.int(10),
      window_bytes: random.pick([1, 100, 0, -1, 'x']),
      seq: random.int(20),
      events: [{ event_type: 'message', content: 'w' }],
      session_name: 'n',
      mode: random.pick(['replay', 'live', 'auto', 'snapshot', 'x']),
    },
    () => someJson(random, 3),
  )
  const subset =
    typeof payload === 'object' && payload !== null && !Array.isArray(payload)
      ? Object.fromEntries(Object.entries(payload).filter(() => random.chance(0.6)))
      : payload
  return JSON.stringify({ type, ...(random.chance(0.95) ? { header } : {}), ...(random.chance(0.95) ? { payload: subset } : {}) })
}

/** One or more frames, odd somewhere; `cut` where the connection is to break in the middle. */
export function someFrames(random: SeededRandom): { readonly bytes: Buffer; readonly cut: boolean } {
  const text = Buffer.from(someMessage(random))
  const whole = (bytes: Buffer): { bytes: Buffer; cut: boolean } => ({ bytes, cut: false })
  switch (random.int(20)) {
    case 0:
      return whole(frame(someBytes(random, 300), { opcode: random.int(16), fin: random.chance(0.7), rsv: random.chance(0.3) ? random.int(8) : 0 }))
    case 1:
      return whole(frame(text, { masked: false }))
    case 2:
      return whole(frame(text, { length: random.pick([2n ** 63n - 1n, 2n ** 64n - 1n, 2n ** 32n, 2n ** 31n, 262_145n, 65_536n]) }))
    case 3: {
      const at = random.int(text.length)
      return whole(
        Buffer.concat([frame(text.subarray(0, at), { fin: false }), frame(Buffer.from('p'), { opcode: 9 }), frame(text.subarray(at), { opcode: 0 })]),
      )
    }
    case 4:
      return whole(Buffer.concat(Array.from({ length: 20 }, (_, n) => frame(text.subarray(n, n + 1), { opcode: n === 0 ? 1 : 0, fin: false }))))
    case 5:
      return whole(frame(Buffer.alloc(126 + random.int(100)), { opcode: 8 + random.int(3) }))
    case 6:
      return whole(
        frame(
          random.pick([
            Buffer.alloc(0),
            Buffer.from([3]),
            Buffer.from([0x03, 0xe8]),
            Buffer.from([0x00, 0x01]),
            Buffer.from([0x03, 0xed]),
            Buffer.from([0x0f, 0xa0, 0xff, 0xfe]),
          ]),
          { opcode: 8 },
        ),
      )
    case 7:
      return whole(frame(Buffer.from([0x7b, 0xff, 0xfe, 0xc3]), { opcode: 1 }))
    case 8:
      return { bytes: frame(text).subarray(0, random.int(text.length + 6)), cut: true }
    case 9:
      return whole(someBytes(random, 200))
    case 10:
      return whole(frame(spoiled(random, text.toString())))
    default:
      return whole(Buffer.concat(Array.from({ length: 1 + random.int(4) }, () => frame(Buffer.from(someMessage(random))))))
  }
}
