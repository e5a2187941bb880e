import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { applyChange, hookCommand, planInstall, planUninstall } from './install.ts'
import { HOOK_EVENTS, hookedEvents, isOurs, SettingsError, withHooks, withoutHooks } from './settings.ts'

const OURS = '/usr/bin/node /opt/holdfast/bin/holdfast.mjs hook'
const theirs = {
  model: 'opus',
  permissions: { allow: ['Bash(npm test)'] },
  hooks: {
    PreToolUse: [{ matcher: 'Bash', hooks: [{ type: 'command', command: './check.sh' }] }],
    Stop: [{ hooks: [{ type: 'command', command: 'notify-send done' }] }],
  },
}

describe('the settings of Claude Code', () => {
  it('[RUN-12] get our hook for every event and keep all else', () => {
    const settings = withHooks(theirs, OURS) as typeof theirs
    expect(hookedEvents(settings).toSorted()).toEqual([...HOOK_EVENTS].toSorted())
    expect(settings).toMatchObject({ model: 'opus', permissions: theirs.permissions })
    expect(settings.hooks.PreToolUse[0]).toEqual(theirs.hooks.PreToolUse[0])
    expect(settings.hooks.Stop[0]).toEqual(theirs.hooks.Stop[0])
  })

  it('[RUN-12] installing twice, or another version, leaves one hook per event', () => {
    const again = withHooks(withHooks(theirs, OURS), 'npx -y holdfast@9.9.9 hook --url http://h') as { hooks: Record<string, unknown[]> }
    expect(JSON.stringify(again).match(/holdfast@9\.9\.9/g)).toHaveLength(HOOK_EVENTS.length)
    expect(JSON.stringify(again)).not.toContain('holdfast.mjs')
    expect(withHooks(again, OURS)).toEqual(withHooks(theirs, OURS))
  })

  it('[RUN-12] uninstalling gives back what was there', () => {
    expect(withoutHooks(withHooks(theirs, OURS))).toEqual(theirs)
    expect(withoutHooks(withHooks({}, OURS))).toEqual({})
    expect(withoutHooks(theirs)).toEqual(theirs)
  })

  it('[RUN-12] a group that holds our hook beside another keeps the other', () => {
    const shared = {
      hooks: {
        Stop: [
          {
            matcher: '*',
            hooks: [
              { type: 'command', command: OURS },
              { type: 'command', command: 'x' },
            ],
          },
        ],
      },
    }
    expect(withoutHooks(shared)).toEqual({ hooks: { Stop: [{ matcher: '*', hooks: [{ type: 'command', command: 'x' }] }] } })
  })

  it('[RUN-12] settings of another form are refused, not overwritten', () => {
    for (const settings of [[], 'x', null, { hooks: [] }, { hooks: { Stop: {} } }]) expect(() => withHooks(settings, OURS)).toThrow(SettingsError)
  })

  it('[RUN-12] our own command lines are known again, others are not taken for ours', () => {
    const lines = [
      'holdfast hook',
      'npx -y holdfast hook',
      'npx -y holdfast@0.1.0 hook --url http://h',
      "'/my node' '/a b/holdfast.mjs' hook",
      hookCommand({ url: 'http://h', dataDir: '/x y' }, '0.1.0'),
    ]
    for (const command of lines) expect([command, isOurs({ command })]).toEqual([command, true])
    for (const command of ['holdfast ls', 'my-hook', 'holdfaster hook', './holdfast-hook.sh']) expect([command, isOurs({ command })]).toEqual([command, false])
  })
})

describe('the settings file', () => {
  let folder: string
  let file: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-settings-'))
    file = join(folder, '.claude', 'settings.json')
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('[RUN-12] is made where there is none, and taken back leaves an empty object', () => {
    expect(applyChange(planInstall(file, OURS), 1)).toBeUndefined()
    expect(hookedEvents(JSON.parse(readFileSync(file, 'utf8')))).toHaveLength(HOOK_EVENTS.length)
    expect(planInstall(file, OURS).changed).toBe(false)
    applyChange(planUninstall(file), 2)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({})
  })

  it('[RUN-12] keeps a backup, its indentation, and being a link', () => {
    const elsewhere = join(folder, 'dotfiles.json')
    const before = `${JSON.stringify(theirs, null, 4)}\n`
    writeFileSync(elsewhere, before)
    mkdirSync(join(folder, '.claude'))
    symlinkSync(elsewhere, file)
    const backup = applyChange(planInstall(file, OURS), 7)
    expect(readFileSync(backup as string, 'utf8')).toBe(before)
    expect(readFileSync(elsewhere, 'utf8')).toContain('\n    "model"')
    expect(
      readdirSync(folder)
        .filter(name => name.startsWith('dotfiles'))
        .toSorted(),
    ).toEqual(['dotfiles.json', 'dotfiles.json.before-holdfast-7'])
  })

  it('[RUN-12] that is not JSON stays as it is', () => {
    mkdirSync(join(folder, '.claude'))
    writeFileSync(file, '{ // mine\n}')
    expect(() => planInstall(file, OURS)).toThrow(SettingsError)
    expect(readFileSync(file, 'utf8')).toBe('{ // mine\n}')
  })
})
