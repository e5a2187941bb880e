import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** `sun_path` has 108 bytes on Linux and 104 on macOS, one of them the end. */
const MAX_SOCKET_PATH_BYTES = 103

/** A path of a socket that is short enough to connect to, good until `release`: through a link in a folder of our own where the real one is too long. */
export function shortPath(folder: string, name: string): { readonly path: string; release(): void } {
  const path = join(folder, name)
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return { path, release: () => {} }
  // Made with mode 0700, so nobody else can put another link in its place.
  const own = mkdtempSync(join(tmpdir(), 'hf-'))
  symlinkSync(folder, join(own, 'f'))
  return { path: join(own, 'f', name), release: () => rmSync(own, { recursive: true, force: true }) }
}
