// edge: a process of its own. A server that starts a holder and does nothing else, to be killed. Arguments: the installed holder, the folder.
import { randomUUID } from 'node:crypto'
import { holderClock } from '../holder-clock.ts'
import { programEnv } from '../program-env.ts'
import { startHolder } from '../start-holder.ts'

const [main = '', folder = ''] = process.argv.slice(2)
const script = 'i=0; while :; do echo "tick $i"; i=$((i+1)); sleep 0.02; done'
const result = await startHolder(
  folder,
  { sessionId: 's1', incarnation: 1, mode: 'pty', command: 'sh', args: ['-c', script], cwd: '/', env: programEnv(process.env, {}) },
  { installed: { main, digest: '' }, clock: holderClock, random: { id: randomUUID, fraction: Math.random } },
)
process.send?.(result)
