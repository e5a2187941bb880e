import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hookedEvents, SettingsError, withHooks, withoutHooks } from './settings.ts'

/** Where Claude Code keeps its settings: of one project, or of a user. */
export const settingsFile = (scope: 'project' | 'user', cwd: string, env: NodeJS.ProcessEnv): string =>
  join(scope === 'project' ? join(cwd, '.claude') : (env.CLAUDE_CONFIG_DIR ?? join(env.HOME ?? homedir(), '.claude')), 'settings.json')

const quoted = (word: string): string => (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)

/**
 * The command line that Claude Code will run: this very Node and this very holdfast by their paths, which is the fastest;
 * through npx where they lie in npm's cache, which may be emptied.
 */
export function hookCommand(options: { url?: string; dataDir?: string }, version: string): string {
  const bin = fileURLToPath(new URL('../../bin/holdfast.mjs', import.meta.url))
  const isPassing = /[\\/]_npx[\\/]/.test(bin)
  const words = isPassing ? ['npx', '-y', `holdfast@${version}`, 'hook'] : [stableNode(), bin, 'hook']
  if (options.url) words.push('--url', options.url)
  if (options.dataDir) words.push('--data-dir', options.dataDir)
  return words.map(quoted).join(' ')
}

/** This Node by a path that lasts: version managers make a link anew for each shell. */
function stableNode(): string {
  try {
    return realpathSync(process.execPath)
  } catch {
    return process.execPath
  }
}

export interface Change {
  readonly file: string
  readonly before: string | undefined
  readonly after: string
  readonly changed: boolean
  readonly events: readonly string[]
}

/** What an installation would make of a settings file. Throws SettingsError. */
export function planInstall(file: string, command: string): Change {
  return change(file, settings => withHooks(settings, command))
}

/** What taking the hooks out would make of it. Throws SettingsError. */
export const planUninstall = (file: string): Change => change(file, withoutHooks)

function change(file: string, edit: (settings: unknown) => Record<string, unknown>): Change {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : undefined
  let settings: unknown
  try {
    settings = before === undefined || before.trim() === '' ? {} : JSON.parse(before)
  } catch (error) {
    throw new SettingsError(`${file} is not JSON (${(error as Error).message}); nothing was changed.`)
  }
  const edited = edit(settings)
  const indent = /^([ \t]+)"/m.exec(before ?? '')?.[1] ?? '  '
  return {
    file,
    before,
    after: `${JSON.stringify(edited, null, indent)}\n`,
    changed: JSON.stringify(settings) !== JSON.stringify(edited),
    events: hookedEvents(edited),
  }
}

/** Writes a changed settings file whole, keeping what was there as a backup beside it; gives the backup's path. */
export function applyChange({ file, before, after, changed }: Change, nowMs: number): string | undefined {
  if (!changed) return undefined
  // A link to a file elsewhere (dotfiles) stays a link.
  const target = existsSync(file) ? realpathSync(file) : file
  mkdirSync(dirname(target), { recursive: true })
  const backup = before === undefined ? undefined : `${target}.before-holdfast-${nowMs}`
  if (backup) copyFileSync(target, backup)
  const temp = join(dirname(target), `.${basename(target)}.${process.pid}`)
  writeFileSync(temp, after, { mode: before === undefined ? 0o600 : statSync(target).mode & 0o777 })
  renameSync(temp, target)
  return backup
}
