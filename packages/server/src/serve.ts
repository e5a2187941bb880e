import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { type Logger, StoreError } from '@holdfast/core'
import { openSqliteStore } from '@holdfast/store-sqlite'
import { type ConfigFlags, loadConfig, redacted } from './config/config.ts'
import { readTextFile } from './config/read-file.ts'
import type { Config } from './config/schema.ts'
import { systemClock } from './edge/clock.ts'
import { createLogger } from './edge/logger.ts'
import { type RunningServer, startServer } from './start-server.ts'

/** The flags of `holdfast serve`; what is left out comes from the environment, the configuration file, or the defaults. */
export interface ServeFlags {
  readonly host?: string
  readonly port?: number
  readonly dataDir?: string
  readonly durability?: 'full' | 'relaxed'
  readonly token?: string
  readonly allowOrigin?: readonly string[]
  readonly allowHost?: readonly string[]
  readonly publicUrl?: string
  readonly trustProxy?: boolean
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly config?: string
}

export interface Serving {
  readonly url: string
  readonly pid: number
  readonly dataDir: string
  /** Null where the token was given. */
  readonly tokenFile: string | null
  /** Drains and ends; asked twice it is one stop. */
  stop(): Promise<void>
  /** The exit code, once it has ended: 0, or 1 after a failure of the disk. */
  readonly done: Promise<number>
}

/** Opens the data folder and serves it. Rejects with ConfigError (wrong settings) or the store's OpenError (`in_use`, `damaged`). */
export async function serve(flags: ServeFlags = {}): Promise<Serving> {
  const config = loadConfig({ flags: configFlags(flags), env: process.env, readFile: readTextFile, home: homedir(), cwd: process.cwd() })
  // A person at a terminal reads text; whoever collects the lines gets JSON.
  const logger = createLogger(config.log.level, process.stderr.isTTY ? 'text' : config.log.format)
  const { data_dir: dataDir } = config.serve
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const store = await openStore(config, logger).catch((error: unknown) => {
    throw whereFull(error, dataDir)
  })
  let finish: (code: number) => void = () => undefined
  const done = new Promise<number>(resolve => {
    finish = resolve
  })
  let server: RunningServer
  try {
    server = await startServer({ config, store, logger, onFatal: () => finish(1) })
  } catch (error) {
    await store.close()
    throw whereFull(error, dataDir)
  }
  if (config.serve.durability === 'relaxed') logger.warn('durability is relaxed: a power cut may take back what was acknowledged last')
  logger.info('serving', { url: server.url, data_dir: dataDir })
  logger.debug('settings', { ...redacted(config) })
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopping ??= server.drain().then(
      () => finish(0),
      (error: unknown) => {
        logger.error('the stop failed', { error: error instanceof Error ? error.message : String(error) })
        finish(1)
      },
    )
    return stopping
  }
  return { url: server.url, pid: process.pid, dataDir, tokenFile: server.tokenFile, stop, done }
}

/** A start needs a little room of its own; without it, says what to do. */
function whereFull(error: unknown, dataDir: string): unknown {
  const { code, details } = error as { code?: unknown; details?: { reason?: unknown } }
  const isFull = code === 'ENOSPC' || (error instanceof StoreError ? code === 'full' : code === 'storage_failed' && details?.reason === 'full')
  return isFull ? new Error(`The disk of ${dataDir} is full: make room there and start again. Nothing is lost.`, { cause: error }) : error
}

const openStore = (config: Config, logger: Logger) =>
  openSqliteStore({ dataDir: config.serve.data_dir, durability: config.serve.durability, coldAfterMs: config.times.cold_after_ms, clock: systemClock, logger })

function configFlags(flags: ServeFlags): ConfigFlags {
  const renamed = {
    host: flags.host,
    port: flags.port,
    data_dir: flags.dataDir,
    durability: flags.durability,
    token: flags.token,
    allow_origin: flags.allowOrigin,
    allow_host: flags.allowHost,
    public_url: flags.publicUrl,
    trust_proxy: flags.trustProxy,
    tls_cert: flags.tlsCert,
    tls_key: flags.tlsKey,
    config: flags.config,
  }
  return Object.fromEntries(Object.entries(renamed).filter(([, value]) => value !== undefined))
}
