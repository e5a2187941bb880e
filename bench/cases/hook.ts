import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Case, Context } from '../lib/case.ts'
import { percentile } from '../lib/figures.ts'
import { BIN } from '../lib/paths.ts'

/** An agent waits for its hooks (RUN-12). */
const BOUND_MS = 250

const hook: Case = {
  about: 'how long an agent waits for `holdfast hook`, with the server up, down and hanging',
  async run(context) {
    const up = await listen(context, willing)
    const hanging = await listen(context, request => void request.resume())
    const gone = await listen(context, willing)
    const down = urlOf(gone)
    await new Promise(resolve => gone.close(resolve))
    await measure(context, 'up', urlOf(up))
    await measure(context, 'down', down)
    await measure(context, 'hanging', urlOf(hanging))
  },
}

async function measure(context: Context, name: 'up' | 'down' | 'hanging', url: string): Promise<void> {
  const calls = context.quick ? 15 : 60
  const folder = join(context.folder, name)
  const spool = join(folder, 'spool')
  mkdirSync(folder)
  const env = {
    ...process.env,
    HOLDFAST_DATA_DIR: folder,
    HOLDFAST_SPOOL: spool,
    HOLDFAST_URL: url,
    HOLDFAST_HOOK_LINGER_MS: '300',
    HOLDFAST_HOOK_PATIENCE_MS: '60000',
  }
  context.defer(() => endFlush(spool))
  const ours: number[] = []
  const bare: number[] = []
  context.say(`the server is ${name}: ${calls} calls`)
  for (let i = 0; i < calls; i++) {
    bare.push(await msOf(['-e', 'process.stdin.resume()'], env, {}))
    ours.push(await msOf([BIN, 'hook'], env, callOf(folder, i)))
  }
  // A hook that did nothing exits with 0 too: what it was told must lie in the queue, or be delivered where the server takes it.
  const queue = join(spool, 'queue')
  const waiting = existsSync(queue) ? readdirSync(queue).filter(file => file.endsWith('.json')).length : -1
  if (name === 'up' ? waiting < 0 : waiting !== calls) throw new Error(`${name}: ${waiting} of ${calls} calls lie in the queue: the hook did not do its work`)
  endFlush(spool)
  context.record({
    metric: `p95, server ${name}`,
    unit: 'ms',
    ours: percentile(ours, 0.95),
    limit: { name: 'a bare node that only reads its input', value: percentile(bare, 0.95) },
    targets: [{ against: 'value', op: '<=', bound: BOUND_MS }],
    note: `${calls} calls of each in turn, from the spawn to the exit; p50 ${percentile(ours, 0.5).toFixed(0)} ms, bare ${percentile(bare, 0.5).toFixed(0)} ms`,
  })
}

const callOf = (folder: string, n: number): unknown => ({
  session_id: 'latency',
  hook_event_name: 'PreToolUse',
  cwd: folder,
  tool_name: 'Bash',
  tool_input: { command: 'x'.repeat(2000) },
  tool_use_id: `toolu_${n}`,
})

function msOf(args: readonly string[], env: NodeJS.ProcessEnv, input: unknown): Promise<number> {
  const begun = performance.now()
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(process.execPath, args, { env, stdio: ['pipe', 'ignore', 'inherit'] })
    child.once('error', reject)
    child.once('exit', code => (code === 0 ? resolve(performance.now() - begun) : reject(new Error(`exit code ${code}`))))
    child.stdin?.end(JSON.stringify(input))
  })
}

/** Ends the background process that the calls started. */
function endFlush(spool: string): void {
  try {
    process.kill((JSON.parse(readFileSync(join(spool, 'flush.json'), 'utf8')) as { pid: number }).pid)
  } catch {
    // It has ended by itself.
  }
}

/** Answers every request as a server would that has the session. */
const willing: RequestListener = (request, response) => {
  request.resume()
  request.on('end', () => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ ok: true, status: 'running', state: 'running', session: {}, first_seq: 1, last_seq: 1, duplicate: false }))
  })
}

function listen(context: Context, handler: RequestListener): Promise<Server> {
  return new Promise(resolve => {
    const server = createServer(handler)
    context.defer(() => {
      server.closeAllConnections()
      server.close()
    })
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
}

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

export default hook
