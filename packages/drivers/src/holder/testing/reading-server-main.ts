// A server of the smallest kind, to be killed: appends a holder's output to a file, and acks what the file has. Arguments: folder, file.
import { openSync, statSync, writeSync } from 'node:fs'
import { connectHolder } from '../connect-holder.ts'
import { holderClock } from '../holder-clock.ts'

const [folder = '', path = ''] = process.argv.slice(2)
const say = (value: unknown): void => void process.stdout.write(JSON.stringify(value))
const file = openSync(path, 'a')
const from = statSync(path).size
const found = await connectHolder(folder, { clock: holderClock })
if (found.state === 'dead') {
  const { read, exit } = found.remains
  for (let at = from, bytes = read(at, 65536); bytes.length > 0; bytes = read(at, 65536)) at += writeSync(file, bytes)
  say(exit)
} else if (found.state === 'live') {
  const { link } = found
  let at = from
  link.read([from], {
    onOutput(offset, bytes) {
      if (offset !== at) throw new Error(`output at ${offset}, expected at ${at}`)
      // Two writes, so that a kill falls between them too.
      for (const half of [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)]) at += writeSync(file, half)
      link.ack(at)
    },
    onExit: say,
    onLost: say,
  })
}
