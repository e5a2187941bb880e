import { parse, TomlError } from 'smol-toml'
import { nearestKey } from './nearest.ts'
import { SECTIONS, SETTINGS, type Setting } from './settings.ts'

/** Values that one source gives, checked, by key; what cannot be used goes to `problems`, which never show a token. */
export type Layer = ReadonlyMap<string, unknown>

const SECTION_KEYS: ReadonlySet<string> = new Set(SECTIONS.map(section => section.key))
const BY_KEY: ReadonlyMap<string, Setting> = new Map(SETTINGS.map(setting => [setting.key, setting]))
const BY_ENV: ReadonlyMap<string, Setting> = new Map(SETTINGS.map(setting => [setting.env, setting]))
/** `HOLDFAST_LIMITS_` and the like; other `HOLDFAST_` names are the client's and the hook's. */
const ENV_PREFIXES: readonly string[] = [...new Set(SETTINGS.map(setting => `HOLDFAST_${setting.path[0]?.toUpperCase()}_`))]

/** The data folder for the server and the client commands alike; the server's own variable goes before it. */
export const DATA_DIR_ENV = 'HOLDFAST_DATA_DIR'

const shown = (value: unknown): string => {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))

function put(layer: Map<string, unknown>, problems: string[], setting: Setting, value: unknown, source: string): void {
  const result = setting.parse(value)
  if ('value' in result) layer.set(setting.key, result.value)
  else problems.push(`${source}: ${result.problem}${setting.key === 'serve.token' ? '' : `, not ${shown(value)}`}`)
}

/** A token that was meant to be set but is empty (a variable that did not exist) must not open the server. */
const isEmptyToken = (setting: Setting, value: unknown) => setting.key === 'serve.token' && value === ''

/** The settings of a TOML file; unknown keys are problems that name the nearest known one. */
export function layerFromToml(text: string, file: string, problems: string[]): Layer {
  const layer = new Map<string, unknown>()
  let root: unknown
  try {
    root = parse(text, { unsafeKeyBehaviour: 'throw' })
  } catch (error) {
    const place = error instanceof TomlError ? `${file}:${error.line}:${error.column}` : file
    problems.push(`${place}: not valid TOML: ${(error instanceof Error ? error.message : String(error)).split('\n', 1)[0]}`)
    return layer
  }
  const walk = (table: Record<string, unknown>, prefix: string) => {
    for (const [name, value] of Object.entries(table)) {
      const key = `${prefix}${name}`
      const setting = BY_KEY.get(key)
      if (setting) put(layer, problems, setting, value, `${file}: ${key}`)
      else if (!SECTION_KEYS.has(key))
        problems.push(`${file}: there is no setting "${key.slice(0, 200)}"${hint(nearestKey(key, [...BY_KEY.keys(), ...SECTION_KEYS]))}`)
      else if (isTable(value)) walk(value, `${key}.`)
      else problems.push(`${file}: ${key} is a table of settings: write [${key}]`)
    }
  }
  if (isTable(root)) walk(root, '')
  return layer
}

const hint = (nearest: string | undefined) => (nearest === undefined ? '' : `; did you mean "${nearest}"?`)

/** The settings of the environment; an empty variable counts as absent, but for the token. */
export function layerFromEnv(env: Readonly<Record<string, string | undefined>>, problems: string[]): Layer {
  const layer = new Map<string, unknown>()
  const dataDir = BY_KEY.get('serve.data_dir')
  if (dataDir && env[DATA_DIR_ENV] !== undefined && env[DATA_DIR_ENV] !== '') put(layer, problems, dataDir, env[DATA_DIR_ENV], DATA_DIR_ENV)
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue
    const setting = BY_ENV.get(name)
    if (!setting) {
      if (ENV_PREFIXES.some(prefix => name.startsWith(prefix)))
        problems.push(`there is no setting for the variable ${name}${hint(nearestKey(name, [...BY_ENV.keys()]))}`)
    } else if (isEmptyToken(setting, value)) problems.push(`${name} is empty: unset it, or give a token`)
    else if (value !== '') put(layer, problems, setting, value, name)
  }
  return layer
}

/** The settings of `serve`'s flags, by name with underscores. */
export function layerFromFlags(flags: Readonly<Record<string, unknown>>, problems: string[]): Layer {
  const layer = new Map<string, unknown>()
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined || name === 'config') continue
    const setting = BY_KEY.get(`serve.${name}`)
    const flag = `--${name.replaceAll('_', '-')}`
    if (!setting) problems.push(`there is no flag ${flag}`)
    else if (isEmptyToken(setting, value)) problems.push(`${flag} is empty: leave it out, or give a token`)
    else put(layer, problems, setting, value, flag)
  }
  return layer
}
