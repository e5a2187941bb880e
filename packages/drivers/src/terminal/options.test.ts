import { mkdirSync, mkdtempSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkPolicy, terminalOptions } from './options.ts'

const forbidden = expect.objectContaining({ code: 'forbidden' })

describe('options of a terminal', () => {
  it('[TERM-01] what is left out has its default, and what can not be is refused', () => {
    expect(terminalOptions({ command: 'sh' }, null, '/home/a')).toEqual({
      command: 'sh',
      args: [],
      cwd: '/home/a',
      env: {},
      cols: 80,
      rows: 24,
      singleUser: false,
    })
    expect(terminalOptions({ command: 'sh', single_user: true }, '/work', '/home/a')).toMatchObject({ cwd: '/work', singleUser: true })
    const wrong = [
      null,
      {},
      { command: 'a\0b' },
      { command: 'sh', args: ['\0'] },
      { command: 'sh', cwd: 'here' },
      { command: 'sh', env: { 'A=B': '' } },
      { command: 'sh', env: { '': '' } },
    ]
    for (const options of wrong)
      expect(() => terminalOptions(options, null, '/'), JSON.stringify(options)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  it('[OPS-01] nothing starts without a policy; with one, only its commands in its folders, whatever links say', () => {
    const root = mkdtempSync(join(tmpdir(), 'policy-'))
    for (const name of ['in', 'in/deep', 'inner', 'out']) mkdirSync(join(root, name))
    symlinkSync(join(root, 'out'), join(root, 'in', 'link'))
    const policy = { folders: [join(root, 'in')], commands: ['sh', '/bin/cat'] }
    const check =
      (command: string, cwd: string, env = {}) =>
      () =>
        checkPolicy(policy, { command, cwd: join(root, cwd), env })
    expect(() => checkPolicy(undefined, { command: 'sh', cwd: '/', env: {} })).toThrow(forbidden)
    expect(check('sh', 'in/deep')).not.toThrow()
    expect(check('/bin/cat', 'in', { MINE: '1' })).not.toThrow()
    for (const cwd of ['.', 'out', 'inner', 'in/../out', 'in/link']) expect(check('sh', cwd), cwd).toThrow(forbidden)
    for (const command of ['bash', './sh', '/bin/sh', 'cat']) expect(check(command, 'in'), command).toThrow(forbidden)
    for (const name of ['PATH', 'LD_PRELOAD', 'BASH_ENV']) expect(check('sh', 'in', { [name]: '/tmp' }), name).toThrow(forbidden)
    const open = { folders: [], commands: [] }
    expect(() => checkPolicy(open, { command: 'x', cwd: '/', env: { PATH: '/tmp' } }), 'on this machine alone').not.toThrow()
    expect(() => checkPolicy({ folders: [], commands: ['*'] }, { command: 'x', cwd: '/', env: { PATH: '/tmp' } })).not.toThrow()
  })
})
