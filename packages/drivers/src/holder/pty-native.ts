import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The part of node-pty's binary that is used: its own JavaScript loses output at exit (it closes the terminal 200 ms after the program). */
export interface PtyNative {
  fork(
    file: string,
    args: readonly string[],
    env: readonly string[],
    cwd: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (exitCode: number, signal: number) => void,
  ): { readonly fd: number; readonly pid: number; readonly pty: string }
  resize(fd: number, cols: number, rows: number): void
}

/** Loads the binary that lies beside this file; macOS also starts programs through the helper there. */
export function loadPtyNative(): { native: PtyNative; helperPath: string } {
  const folder = dirname(fileURLToPath(import.meta.url))
  return { native: createRequire(import.meta.url)('./pty.node') as PtyNative, helperPath: join(folder, 'spawn-helper') }
}
