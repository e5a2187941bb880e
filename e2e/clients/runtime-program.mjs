// Follows a run and appends to it; the same program under every runtime. Says "half" on stdout and waits for a line on stdin,
// then goes on, and says what it saw as one line of JSON.
import process from 'node:process'
import { createClient, pollTransport, sseTransport } from '@holdfast/client'

const [url, session, transport, total] = process.argv.slice(2)
const count = Number(total)
const make = { sse: [sseTransport()], poll: [pollTransport({ waitMs: 1000 })] }
const transports = make[transport]
const client = createClient({ url, policy: { baseMs: 20, capMs: 200, maxTries: 1000 }, ...(transports ? { transports } : {}) })

const seqs = []
const acks = []
const errors = []
let used
let wake = () => {}
const told = () => wake()
const until = async fact => {
  while (!fact()) await new Promise(resolve => (wake = resolve))
}

const handle = client.attach(session, {
  onEvent: event => {
    seqs.push(event.header.seq)
    told()
  },
  onStatus: state => {
    if (state.phase === 'live') used ??= state.transport
    if (state.phase === 'failed') errors.push(String(state.error))
    told()
  },
})
const producer = client.producer(session, { batchEvents: 5 })
const append = async n => {
  const { seq } = await producer.append({ event_type: 'message', role: 'assistant', content: `text ${n} é😀` })
  acks.push({ n, seq })
  told()
}

await until(() => handle.state.phase === 'live' || errors.length > 0)
for (let n = 1; n <= count / 2; n++) void append(n)
await until(() => acks.length >= count / 2 && seqs.length >= count / 2)
const go = new Promise(resolve => process.stdin.once('data', resolve))
console.log('half')
await go
process.stdin.destroy()
// One after the other, so that the server dies in the middle of them.
for (let n = count / 2 + 1; n <= count; n++) await append(n)
await until(() => seqs.length >= count || handle.state.phase === 'failed')
await producer.close()
client.close()
console.log(JSON.stringify({ seqs, acks, errors, used }))
