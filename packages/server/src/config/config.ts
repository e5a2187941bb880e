import { join, resolve } from 'node:path'
import { isLoopbackName } from '../auth/host.ts'
import { ConfigError } from './config-error.ts'
import type { Config } from './schema.ts'
import { SETTINGS } from './settings.ts'
import { type Layer, layerFromEnv, layerFromFlags, layerFromToml } from './sources.ts'

export type { Config } from './schema.ts'

/** The flags of `holdfast serve`, with underscores; values as they were typed. */
export type ConfigFlags = { readonly [K in keyof Config['serve'] | 'config']?: unknown }

export interface ConfigSources {
  readonly flags?: ConfigFlags
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The text of a file; undefined where there is none. */
  readonly readFile: (path: string) => string | undefined
  /** What `~` stands for. */
  readonly home: string
  /** What relative paths start from. */
  readonly cwd: string
}

const PATHS: readonly string[] = ['serve.data_dir', 'serve.tls_cert', 'serve.tls_key']

/** Defaults, then the file (`--config`, or `holdfast.toml` in the data folder where it exists), then the environment, then flags. Throws ConfigError with every problem found. */
export function loadConfig({ flags = {}, env = {}, readFile, home, cwd }: ConfigSources): Config {
  const problems: string[] = []
  const absolute = (path: string) => (path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : resolve(cwd, path))
  const fromEnv = layerFromEnv(env, problems)
  const fromFlags = layerFromFlags(flags, problems)
  const dataDir = absolute(String(merged([fromEnv, fromFlags], 'serve.data_dir')))
  const isExplicit = flags.config !== undefined
  const file = isExplicit ? absolute(String(flags.config)) : join(dataDir, 'holdfast.toml')
  const fromFile = readLayer(file, isExplicit, readFile, problems)

  const layers = [fromFile, fromEnv, fromFlags]
  const root: Record<string, unknown> = {}
  for (const { path, key } of SETTINGS) {
    const value = merged(layers, key)
    set(root, path, typeof value === 'string' && PATHS.includes(key) ? absolute(value) : value)
  }
  // Every leaf came through its own schema, which is what Config is inferred from.
  const config = root as unknown as Config
  if (!isExplicit && config.serve.data_dir !== dataDir)
    problems.push(`${file}: serve.data_dir names another folder than the one the file lies in; use --data-dir, or --config for this file`)
  problems.push(...contradictions(config))
  if (problems.length > 0) throw new ConfigError(problems)
  return freeze(config)
}

/** What fits together only in some combinations. */
function contradictions({ serve, times, limits, tail }: Config): string[] {
  const problems: string[] = []
  if (!isLoopbackName(serve.host) && serve.token === null) {
    problems.push(
      `serve.host is "${serve.host}", which others can reach, and there is no token: give one by --token, HOLDFAST_SERVE_TOKEN or serve.token, or listen on 127.0.0.1`,
    )
  }
  if (serve.tls_cert !== null && serve.tls_key === null) problems.push('serve.tls_cert needs serve.tls_key (--tls-key)')
  if (serve.tls_key !== null && serve.tls_cert === null) problems.push('serve.tls_key needs serve.tls_cert (--tls-cert)')
  if (times.silence_ms <= times.heartbeat_ms) problems.push('times.silence_ms must be more than times.heartbeat_ms, or healthy peers are dropped')
  if (limits.event_bytes > limits.body_bytes) problems.push('limits.event_bytes must not be more than limits.body_bytes')
  if (limits.input_bytes > limits.body_bytes) problems.push('limits.input_bytes must not be more than limits.body_bytes')
  if (tail.session_bytes > tail.total_bytes) problems.push('tail.session_bytes must not be more than tail.total_bytes')
  return problems
}

function readLayer(file: string, isExplicit: boolean, readFile: (path: string) => string | undefined, problems: string[]): Layer {
  let text: string | undefined
  try {
    text = readFile(file)
  } catch (error) {
    problems.push(`${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`)
    return new Map()
  }
  if (text !== undefined) return layerFromToml(text, file, problems)
  if (isExplicit) problems.push(`${file}: there is no such file (--config)`)
  return new Map()
}

/** The value of the last layer that has one. */
function merged(layers: readonly Layer[], key: string): unknown {
  const layer = layers.findLast(candidate => candidate.has(key))
  return layer ? layer.get(key) : SETTINGS.find(setting => setting.key === key)?.fallback
}

function set(root: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let table = root
  for (const name of path.slice(0, -1)) {
    table[name] ??= {}
    table = table[name] as Record<string, unknown>
  }
  table[path.at(-1) ?? ''] = Array.isArray(value) ? [...value] : value
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const child of Object.values(value)) freeze(child)
    Object.freeze(value)
  }
  return value
}

/** For logs: the same without the token. */
export const redacted = (config: Config): Config => ({ ...config, serve: { ...config.serve, token: config.serve.token === null ? null : '[redacted]' } })
