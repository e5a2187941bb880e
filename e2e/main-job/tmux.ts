import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { BIN, tempDir, until } from '../lib/process.ts'

/** Whether there is a tmux here; says so where there is none. */
export function hasTmux(untested: string): boolean {
  const isThere = spawnSync('tmux', ['-V']).status === 0
  if (!isThere) process.stderr.write(`\n!!! NOT TESTED: ${untested}. There is no tmux here.\n\n`)
  return isThere
}

/** One window of a tmux of the test's own. */
export interface Pane {
  /** Types; names of keys as tmux knows them, `C-\\` for example. */
  keys(...keys: string[]): void
  /** Types these characters. */
  type(text: string): void
  /** What is on the screen, without trailing blanks. */
  screen(): string
  /** Waits until the screen holds this. */
  shows(what: string | RegExp): Promise<string>
  resize(columns: number, rows: number): void
}

export interface Tmux {
  /** A shell in a window of this size, with `holdfast` as its command for the built one. */
  open(columns: number, rows: number, env: Readonly<Record<string, string>>): Pane
  stop(): void
}

/** A tmux server on a socket of its own, in a folder that goes with the test. */
export function startTmux(): Tmux {
  const folder = tempDir()
  const socket = join(folder, 'tmux')
  const { TMUX: _outer, ...outside } = process.env
  const tmux = (...args: string[]): string => execFileSync('tmux', ['-S', socket, '-f', '/dev/null', ...args], { encoding: 'utf8', env: outside })
  let count = 0
  return {
    open(columns, rows, env) {
      const name = `w${++count}`
      const set = Object.entries({ ...env, PS1: `${name}> `, HISTFILE: '' }).flatMap(([key, value]) => ['-e', `${key}=${value}`])
      tmux('new-session', '-d', '-c', folder, '-s', name, '-x', String(columns), '-y', String(rows), ...set, 'bash', '--norc', '--noprofile')
      tmux('send-keys', '-t', name, '-l', `holdfast() { ${process.execPath} ${BIN} "$@"; }; clear\n`)
      const screen = (): string => tmux('capture-pane', '-p', '-t', name).replace(/\s+$/, '')
      return {
        keys: (...keys) => void tmux('send-keys', '-t', name, ...keys),
        type: text => void tmux('send-keys', '-t', name, '-l', text),
        screen,
        shows: async what => {
          const holds = (): string => {
            const text = screen()
            return (typeof what === 'string' ? text.includes(what) : what.test(text)) ? `${text} ` : ''
          }
          try {
            return await until(String(what), holds)
          } catch (error) {
            throw new Error(`${(error as Error).message}; the screen was:\n${screen()}`)
          }
        },
        resize: (newColumns, newRows) => void tmux('resize-window', '-t', name, '-x', String(newColumns), '-y', String(newRows)),
      }
    },
    stop: () => void spawnSync('tmux', ['-S', socket, 'kill-server'], { env: outside }),
  }
}
