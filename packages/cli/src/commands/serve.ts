import type { ServeFlags, Serving } from '@holdfast/server'
import type { Command } from 'commander'
import { command, collect } from '../command.ts'
import { ExitError, UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { jsonLine, list, paintFor } from '../output.ts'
import { DEFAULT_URL } from '../places.ts'

export type Serve = (flags: ServeFlags) => Promise<Serving>

const DETAILS = `Listens on loopback only unless told otherwise; any other address needs --token or a token made
with "holdfast token create". The first start writes an admin token to the file "token" in the data folder.
SIGTERM and Ctrl-C let clients finish (10 s at most), then exit 0. Exit 3: another server has the data folder.`

export function registerServe(program: Command, io: Io, load: () => Promise<Serve> = loadServe): void {
  program.addCommand(
    command(
      'serve',
      'start the server',
      [
        'holdfast serve',
        'holdfast serve --port 0 --json               # a free port; the first line says where',
        'holdfast serve --host 0.0.0.0 --token "$SECRET" --public-url https://agents.example.com',
        'holdfast serve --config holdfast.toml',
      ],
      DETAILS,
    )
      .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
      .option('--port <port>', 'port; 0 takes a free one (default: 8765)')
      .option('--data-dir <dir>', 'where everything is kept (default: ~/.holdfast)')
      .option('--durability <mode>', 'full: an ack means on disk; relaxed: faster, a power cut may lose the last moment (default: full)')
      .option('--token <token>', 'the admin token; every request needs one then')
      .option('--allow-origin <origin>', 'a web origin that may connect; may be repeated', collect)
      .option('--allow-host <host>', 'a host name that the server answers to; may be repeated', collect)
      .option('--public-url <url>', 'how clients reach the server through a proxy or tunnel')
      .option('--trust-proxy', "believe a proxy's X-Forwarded headers")
      .option('--tls-cert <file>', 'certificate (PEM); with --tls-key')
      .option('--tls-key <file>', 'private key (PEM)')
      .option('--config <file>', 'configuration file; "holdfast config --defaults" prints one to start from')
      .option('--json', 'print one line of JSON once it accepts connections: {"url", "pid", "data_dir", "token_file"}')
      .action(async (given: Record<string, unknown>) => {
        const serving = await (await load())(flagsOf(given))
        io.out(given.json ? jsonLine({ url: serving.url, pid: serving.pid, data_dir: serving.dataDir, token_file: serving.tokenFile }) : banner(serving, io))
        // A signal that comes while the server starts is not lost: it stops as soon as there is something to stop.
        const stop = (): void => void serving.stop()
        if (io.signal.aborted) stop()
        else io.signal.addEventListener('abort', stop, { once: true })
        const exitCode = await serving.done
        if (exitCode !== 0) throw new ExitError(exitCode)
      }),
  )
}

/** Loaded when it is needed: no other command waits for the server's code. */
const loadServe = async (): Promise<Serve> => (await import('@holdfast/server')).serve

function flagsOf(given: Record<string, unknown>): ServeFlags {
  const { port, durability, tlsCert, tlsKey } = given
  if (port !== undefined && !(/^\d{1,5}$/.test(String(port)) && Number(port) <= 65_535))
    throw new UsageError(`--port is a number from 0 to 65535, not "${port}".`)
  if (durability !== undefined && durability !== 'full' && durability !== 'relaxed')
    throw new UsageError(`--durability is "full" or "relaxed", not "${durability}".`)
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new UsageError('--tls-cert and --tls-key go together.')
  const { json: _json, ...flags } = given
  return { ...flags, ...(port === undefined ? {} : { port: Number(port) }) } as ServeFlags
}

function banner(serving: Serving, io: Io): string {
  const paint = paintFor(io)
  const needsToken = serving.tokenFile === null ? ' -H "authorization: Bearer $TOKEN"' : ''
  const elsewhere = serving.url === DEFAULT_URL ? '' : ` --url ${serving.url}`
  const curl = (path: string, body: string): string => `  curl -s ${serving.url}${path} -H 'content-type: application/json'${needsToken} -d '${body}'\n`
  return (
    `${paint('bold', 'Holdfast is running.')}\n\n` +
    list(
      [
        ['Address', paint('cyan', serving.url)],
        ['Data', serving.dataDir],
        ['Admin token', serving.tokenFile ?? 'the one given with --token'],
      ],
      paint,
    ) +
    `\n${paint('dim', 'Post a first event:')}\n` +
    curl('/sessions', '{"session_id":"hello","session_name":"Hello"}') +
    curl('/sessions/hello/events', '{"event_type":"message","role":"assistant","content":"It works."}') +
    `\n${paint('dim', 'Watch it:')}\n  holdfast tail hello${elsewhere}\n\n${paint('dim', 'Ctrl-C stops the server; what was acknowledged is on disk.')}\n`
  )
}
