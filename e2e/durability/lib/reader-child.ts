/** A reader in a process of its own, to be stopped and continued: `node reader-child.ts <url> <session>`. Says a JSON line on stdout for each thing of note. */
import WebSocket from 'ws'

const [url = '', session = ''] = process.argv.slice(2)
let cursor: string | undefined
let epoch = ''
let seq = 0
let saidAt = 0

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

function take(text: string): void {
  const message = JSON.parse(text) as { type: string; header: { seq?: number }; payload: { epoch?: string } }
  if (message.type === 'protocol.hello') epoch = message.payload.epoch ?? ''
  if (message.header.seq === undefined) return
  if (message.header.seq !== seq + 1) say({ fault: `${message.header.seq} came after ${seq}` })
  seq = message.header.seq
  cursor = `${epoch}.${seq}`
  if (performance.now() - saidAt < 20) return
  saidAt = performance.now()
  say({ seq })
}

function connect(): void {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws?session_id=${session}${cursor === undefined ? '' : `&cursor=${cursor}`}`, {
    perMessageDeflate: false,
  })
  socket.on('open', () => say({ open: true }))
  socket.on('message', (data: Buffer) => take(data.toString()))
  socket.on('error', () => undefined)
  socket.on('close', code => {
    say({ closed: code, seq })
    setTimeout(connect, 50)
  })
}

setInterval(() => say({ seq }), 100)
connect()
