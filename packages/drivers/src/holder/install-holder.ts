import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A holder's program in a data folder: nothing that is upgraded elsewhere changes it. */
export interface InstalledHolder {
  readonly main: string
  readonly digest: string
}

interface File {
  readonly name: string
  readonly mode: number
  readonly content: Buffer
}

const MAIN = 'holder.mjs'

/** Copies the holder's bundle and the terminal library's binary to `<dataDir>/holder/<digest>/`, once for each content, and removes other ones: running holders are loaded whole. */
export function installHolder(dataDir: string, bundle: string = bundlePath()): InstalledHolder {
  const files: File[] = [{ name: MAIN, mode: 0o600, content: readFileSync(bundle) }, ...nativeFiles()]
  const digest = digestOf(files)
  const root = join(dataDir, 'holder')
  const folder = join(root, digest)
  mkdirSync(root, { recursive: true, mode: 0o700 })
  if (!isWhole(folder, files)) {
    // A rename makes it whole at once; what a crash leaves is removed below.
    const fresh = `${folder}.new`
    rmSync(fresh, { recursive: true, force: true })
    mkdirSync(fresh, { mode: 0o700 })
    for (const { name, mode, content } of files) writeFileSync(join(fresh, name), content, { mode, flush: true })
    rmSync(folder, { recursive: true, force: true })
    renameSync(fresh, folder)
  }
  for (const name of readdirSync(root)) if (name !== digest) rmSync(join(root, name), { recursive: true, force: true })
  return { main: join(folder, MAIN), digest }
}

/** Where the build puts the bundle, seen from the built file and from its source. */
function bundlePath(): string {
  const here = dirname(fileURLToPath(import.meta.url))
  const built = join(here, '..', 'holder-bundle', MAIN)
  return existsSync(built) ? built : join(here, '..', '..', 'dist', 'holder-bundle', MAIN)
}

/** The binary of this platform's package, and the helper that macOS starts programs through. */
function nativeFiles(): File[] {
  const library = createRequire(createRequire(import.meta.url).resolve('@lydell/node-pty'))
  const binary = library.resolve(`@lydell/node-pty-${process.platform}-${process.arch}/pty.node`)
  const helper = join(dirname(binary), 'spawn-helper')
  const files = [{ name: 'pty.node', mode: 0o600, content: readFileSync(binary) }]
  return existsSync(helper) ? [...files, { name: 'spawn-helper', mode: 0o700, content: readFileSync(helper) }] : files
}

function digestOf(files: readonly File[]): string {
  const hash = createHash('sha256')
  for (const { name, content } of files) hash.update(`${name} ${content.length}\n`).update(content)
  return hash.digest('hex').slice(0, 16)
}

const isWhole = (folder: string, files: readonly File[]): boolean =>
  files.every(({ name, content }) => existsSync(join(folder, name)) && readFileSync(join(folder, name)).equals(content))
