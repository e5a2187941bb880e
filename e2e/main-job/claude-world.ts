import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type ModelEndpoint, type Script, startModelEndpoint } from '@holdfast/testkit/model-endpoint'
import { BIN, freePort, type ServerProcess, startServer, tempDir, until } from '../lib/process.ts'

const run = promisify(execFile)

/** Claude Code in a home and a project of its own, a scripted model, and a server that can die: nothing of it leaves this machine. */
export interface ClaudeWorld {
  readonly home: string
  readonly project: string
  readonly model: ModelEndpoint
  /** The server that runs now. */
  readonly server: ServerProcess
  /** The right to read what the hooks report: they find the token file in the home's data folder, so the runs are the admin's. */
  readonly headers: Readonly<Record<string, string>>
  kill(): Promise<void>
  start(): Promise<void>
  /** `claude …`; rejects where it does not end with 0. Resolves with what it printed. */
  claude(...args: string[]): Promise<string>
  /** `holdfast …` as the user of this home. */
  holdfast(...args: string[]): Promise<string>
  /** Lines for a shell as a user of this home would type them, with `claude` and `holdfast` on the path; the process, which the caller ends. */
  shell(lines: string, env?: Readonly<Record<string, string>>): ChildProcess
  get(path: string): Promise<{ status: number; body: Record<string, unknown> }>
  /** The lines of the transcript of a session. */
  transcript(sessionId: string): Record<string, unknown>[]
  close(): Promise<void>
}

export async function startClaudeWorld(bin: string, script: Script): Promise<ClaudeWorld> {
  const home = tempDir()
  const project = join(home, 'shop')
  const dataDir = join(home, '.holdfast')
  mkdirSync(join(project, '.claude'), { recursive: true })
  const model = await startModelEndpoint({ script })
  const port = await freePort()
  const start = (): Promise<ServerProcess> => startServer({ dataDir, port })
  let server = await start()
  const headers = { authorization: `Bearer ${readFileSync(join(dataDir, 'token'), 'utf8').trim()}` }
  const env = {
    PATH: `${writeCommands(join(home, 'bin'), bin)}:${process.env.PATH ?? ''}`,
    HOME: home,
    HOLDFAST_URL: server.url,
    // The flush ends soon after its last delivery; its other times are as users have them.
    HOLDFAST_HOOK_LINGER_MS: '1000',
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'x',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_TELEMETRY: '1',
    DISABLE_AUTOUPDATER: '1',
  }

  const world: ClaudeWorld = {
    home,
    project,
    model,
    headers,
    get server() {
      return server
    },
    async kill() {
      await server.kill()
    },
    async start() {
      server = await start()
    },
    claude: (...args) => runClaude(args, project, env),
    async holdfast(...args) {
      const { stdout } = await run('holdfast', args, { cwd: project, env, timeout: 30_000 })
      return stdout
    },
    shell: (lines, more = {}) => spawn('sh', ['-ec', lines], { cwd: project, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] }),
    async get(path) {
      const response = await fetch(new URL(path, server.url), { headers })
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    },
    transcript(sessionId) {
      const projects = join(home, '.claude', 'projects')
      const file = readdirSync(projects)
        .map(folder => join(projects, folder, `${sessionId}.jsonl`))
        .find(path => existsSync(path))
      if (!file) throw new Error(`no transcript of ${sessionId}`)
      return readFileSync(file, 'utf8')
        .split('\n')
        .filter(line => line !== '')
        .map(line => JSON.parse(line) as Record<string, unknown>)
    },
    async close() {
      server.signal('SIGCONT')
      await server.kill()
      await model.close()
      // The flush of the hooks is a process of its own, in a home that goes away: what waits for no server is let go.
      await until('the end of the flush', () => endFlush(join(dataDir, 'hook-spool', 'flush.json')))
    },
  }
  return world
}

/** True once no flush runs; asks one that does to end. */
function endFlush(path: string): boolean {
  try {
    process.kill((JSON.parse(readFileSync(path, 'utf8')) as { pid: number }).pid, 'SIGTERM')
    return false
  } catch {
    return true
  }
}

/** Puts the commands into a folder of the path. */
function writeCommands(folder: string, claude: string): string {
  mkdirSync(folder, { recursive: true })
  const command = (name: string, line: string): void => writeFileSync(join(folder, name), `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 })
  command('claude', `'${claude}' --model claude-sonnet-4-5 --allowedTools Bash,Write`)
  command('holdfast', `'${process.execPath}' '${BIN}'`)
  return folder
}

function runClaude(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn('claude', args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
  })
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString()
  })
  const stop = setTimeout(() => child.kill('SIGKILL'), 60_000)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => {
      clearTimeout(stop)
      if (code === 0) resolve(out)
      else reject(new Error(`claude ended with ${code}: ${out.slice(-500)} ${err.slice(-1000)}`))
    })
  })
}

/** A hook of the user's own beside ours: it holds the agent at the end of a turn until the file is there. */
export function writeOwnHook(project: string, release: string): void {
  const command = `while [ ! -e '${release}' ]; do sleep 0.05; done`
  writeFileSync(join(project, '.claude', 'settings.json'), JSON.stringify({ hooks: { Stop: [{ hooks: [{ type: 'command', command }] }] } }, null, 2))
}
