import { execFileSync } from 'node:child_process'
import { readlinkSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'

/** The terminal that a person sits at. */
export interface Tty {
  readonly columns: number
  readonly rows: number
  /** The same for every command in this window, so that who comes back to it is known. */
  readonly clientId: string
  /** Every key as bytes, also those that are signals elsewhere; the answer puts it back. */
  raw(onTyped: (bytes: Uint8Array) => void): () => void
  onResize(listener: () => void): () => void
  /** Written before this returns, for the last words of a process. */
  writeNow(text: string): void
  /** Runs when the process ends, whatever ends it short of kill -9. */
  onProcessEnd(work: () => void): () => void
}

/** This process's terminal; undefined where either direction is a pipe or a file. */
export function processTty(): Tty | undefined {
  const { stdin, stdout } = process
  if (!stdin.isTTY || !stdout.isTTY) return undefined
  return {
    get columns() {
      return stdout.columns || 80
    },
    get rows() {
      return stdout.rows || 24
    },
    get clientId() {
      return clientIdOf(hostname(), ttyName())
    },
    raw: onTyped => {
      stdin.setRawMode(true)
      stdin.on('data', onTyped)
      stdin.resume()
      return () => {
        stdin.off('data', onTyped)
        stdin.setRawMode(false)
        stdin.pause()
      }
    },
    onResize: listener => {
      stdout.on('resize', listener)
      return () => stdout.off('resize', listener)
    },
    writeNow: text => {
      try {
        writeSync(stdout.fd, text)
      } catch {
        // A window that is gone needs no last words.
      }
    },
    onProcessEnd: work => {
      // A window that is closed hangs up; without a listener nothing would be put back for whoever shares it.
      const hangUp = (): void => process.exit(129)
      process.once('exit', work)
      process.once('SIGHUP', hangUp)
      return () => {
        process.off('exit', work)
        process.off('SIGHUP', hangUp)
      }
    },
  }
}

const clientIdOf = (host: string, name: string): string => `cli:${host}:${name}`.replace(/[^A-Za-z0-9_.:-]/g, '-').slice(0, 128)

/** `/dev/pts/3`; the process id where nothing tells. */
function ttyName(): string {
  try {
    const name = readlinkSync('/proc/self/fd/0')
    if (name.startsWith('/dev/')) return name.slice(5)
  } catch {
    // Not Linux.
  }
  try {
    return execFileSync('tty', { stdio: ['inherit', 'pipe', 'ignore'], encoding: 'utf8' })
      .trim()
      .replace(/^\/dev\//, '')
  } catch {
    return String(process.pid)
  }
}
