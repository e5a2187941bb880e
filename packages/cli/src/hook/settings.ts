/** The hooks of Claude Code that are reported. */
export const HOOK_EVENTS = [
  'SessionStart',
  'UserPromptSubmit',
  'PreToolUse',
  'PostToolUse',
  'Stop',
  'SubagentStop',
  'Notification',
  'PreCompact',
  'SessionEnd',
] as const

/** Seconds after which Claude Code gives up on the hook, which is done in a tenth of one. */
const TIMEOUT_S = 10

type Fields = Record<string, unknown>
const isFields = (value: unknown): value is Fields => value !== null && typeof value === 'object' && !Array.isArray(value)

/** A settings file that is not of the form that it should have. */
export class SettingsError extends Error {}

/** True for a hook command of ours, however it was installed. */
export const isOurs = (hook: unknown): boolean =>
  isFields(hook) && typeof hook.command === 'string' && /\bholdfast(\.mjs|@[^\s'"]*)?['"]? hook( |$)/.test(hook.command)

/** Settings with our hook for every event, once, and all else as it was. Throws SettingsError. */
export function withHooks(settings: unknown, command: string): Fields {
  const clean = withoutHooks(settings)
  const hooks = { ...(clean.hooks as Fields | undefined) }
  for (const event of HOOK_EVENTS) {
    const before = hooks[event] ?? []
    if (!Array.isArray(before)) throw new SettingsError(`"hooks.${event}" is not a list.`)
    hooks[event] = [...before, { hooks: [{ type: 'command', command, timeout: TIMEOUT_S }] }]
  }
  return { ...clean, hooks }
}

/** Settings without any hook of ours; lists and groups that only held ours go too. Throws SettingsError. */
export function withoutHooks(settings: unknown): Fields {
  if (!isFields(settings)) throw new SettingsError('The file does not hold a JSON object.')
  if (settings.hooks === undefined) return { ...settings }
  if (!isFields(settings.hooks)) throw new SettingsError('"hooks" is not an object.')
  const hooks: Fields = {}
  let changed = false
  for (const [event, groups] of Object.entries(settings.hooks)) {
    if (!Array.isArray(groups)) {
      hooks[event] = groups
      continue
    }
    const kept = groups.flatMap(group => {
      if (!isFields(group) || !Array.isArray(group.hooks) || !group.hooks.some(isOurs)) return [group]
      changed = true
      const others = group.hooks.filter(hook => !isOurs(hook))
      return others.length === 0 ? [] : [{ ...group, hooks: others }]
    })
    if (kept.length > 0 || groups.length === 0) hooks[event] = kept
  }
  const { hooks: _hooks, ...rest } = settings
  return changed && Object.keys(hooks).length === 0 ? rest : { ...settings, hooks }
}

/** The events for which our hook is installed. */
export function hookedEvents(settings: unknown): string[] {
  if (!isFields(settings) || !isFields(settings.hooks)) return []
  return Object.entries(settings.hooks)
    .filter(([, groups]) => Array.isArray(groups) && groups.some(group => isFields(group) && Array.isArray(group.hooks) && group.hooks.some(isOurs)))
    .map(([event]) => event)
}
