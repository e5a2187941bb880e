// How long an agent waits for `holdfast hook` (RUN-12: p95 at most 250 ms), with the server up, down and hanging.
// Build first, then: npm run bench -- [calls per case, default 60]
// Prints one line of JSON per case; exits 1 where a p95 is over the bound.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const CALLS = Number(process.argv[2] ?? 60)
const BOUND_MS = 250
const bin = fileURLToPath(new URL('../packages/cli/bin/holdfast.mjs', import.meta.url))

const listen = handler =>
  new Promise(resolve => {
    const server = createServer(handler)
    server.listen(0, '127.0.0.1', () => resolve(server))
  })

/** Answers every request as a server would that has the session. */
const willing = (request, response) => {
  request.resume()
  request.on('end', () => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ ok: true, status: 'running', state: 'running', session: {}, first_seq: 1, last_seq: 1, duplicate: false }))
  })
}

function timed(args, env, call) {
  const begun = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'ignore', 'inherit'] })
    child.once('error', reject)
    child.once('exit', code => (code === 0 ? resolve(performance.now() - begun) : reject(new Error(`exit code ${code}`))))
    child.stdin.end(JSON.stringify(call))
  })
}

async function measure(name, url) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-hook-latency-'))
  const env = {
    ...process.env,
    HOLDFAST_DATA_DIR: folder,
    HOLDFAST_SPOOL: join(folder, 'spool'),
    HOLDFAST_URL: url,
    HOLDFAST_HOOK_LINGER_MS: '300',
    HOLDFAST_HOOK_PATIENCE_MS: '60000',
  }
  const times = []
  const bare = []
  for (let i = 0; i < CALLS; i++) {
    // Beside each call a Node that only reads its input: what the machine itself costs at this moment.
    bare.push(await timed(['-e', 'process.stdin.resume()'], env, {}))
    const call = {
      session_id: 'latency',
      hook_event_name: 'PreToolUse',
      cwd: folder,
      tool_name: 'Bash',
      tool_input: { command: 'x'.repeat(2000) },
      tool_use_id: `toolu_${i}`,
    }
    times.push(await timed([bin, 'hook'], env, call))
  }
  // A hook that did nothing exits with 0 too: what it was told must lie in the queue, or be delivered where the server takes it.
  const queue = join(folder, 'spool', 'queue')
  const waiting = existsSync(queue) ? readdirSync(queue).filter(file => file.endsWith('.json')).length : -1
  if (name === 'up' ? waiting < 0 : waiting !== CALLS) throw new Error(`${name}: ${waiting} of ${CALLS} calls lie in the queue: the hook did not do its work`)
  const at = (part, of = times) => Math.round(of.toSorted((a, b) => a - b)[Math.min(of.length - 1, Math.floor(of.length * part))])
  const result = {
    bench: 'hook-latency',
    server: name,
    calls: CALLS,
    load: Number(loadavg()[0].toFixed(1)),
    p50_ms: at(0.5),
    p95_ms: at(0.95),
    max_ms: at(1),
    bare_node_p50_ms: at(0.5, bare),
    bare_node_p95_ms: at(0.95, bare),
    fine: at(0.95) <= BOUND_MS,
  }
  console.log(JSON.stringify(result))
  endFlush(join(folder, 'spool', 'flush.json'))
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  return result.fine
}

/** Ends the background process that this measurement started. */
function endFlush(path) {
  try {
    process.kill(JSON.parse(readFileSync(path, 'utf8')).pid)
  } catch {
    // It has ended by itself.
  }
}

const up = await listen(willing)
const hanging = await listen(request => request.resume())
const gone = await listen(willing)
const urlOf = server => `http://127.0.0.1:${server.address().port}`
const goneUrl = urlOf(gone)
await new Promise(resolve => gone.close(resolve))
const results = [await measure('up', urlOf(up)), await measure('down', goneUrl), await measure('hanging', urlOf(hanging))]
for (const server of [up, hanging]) {
  server.closeAllConnections()
  server.close()
}
process.exitCode = results.every(Boolean) ? 0 : 1
