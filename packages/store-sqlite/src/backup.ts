import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { copyFile, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { openDatabase } from './database.ts'
import { OpenError } from './errors.ts'
import { makeFolder, syncFolder } from './files.ts'
import { openGuard } from './guard.ts'
import { commitsOf } from './journal.ts'
import { setEpoch } from './opening.ts'
import { blobPath, pathsOf, segmentPath } from './paths.ts'
import { readMeta, versionOf } from './schema.ts'
import { randomEpoch } from './sqlite-store.ts'

/** What has been copied of what has to be; waited for, so that a copy can be slowed down. */
export type OnProgress = (progress: { readonly doneBytes: number; readonly totalBytes: number; readonly files: number }) => void | Promise<void>

interface ManifestFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

interface Manifest {
  readonly format: 1
  readonly epoch: string
  readonly commits: number
  readonly files: readonly ManifestFile[]
}

const DATABASE = 'holdfast.db'
const MANIFEST = 'manifest.json'

/** A server that compresses or trims replaces files while they are copied; each new look has fewer to copy. */
const ATTEMPTS = 20

/** Copies a data folder, also while a server has it open: a consistent state of one moment. The manifest comes last; a folder without one is no backup. Throws OpenError. */
export async function backupStore(dataDir: string, destDir: string, onProgress: OnProgress = () => {}): Promise<void> {
  const paths = pathsOf(dataDir)
  if (!existsSync(paths.database)) throw new OpenError('damaged', `There is no holdfast.db in ${dataDir}.`)
  mkdirSync(destDir, { recursive: true, mode: 0o700 })
  if (readdirSync(destDir).length > 0) throw new OpenError('in_use', `${destDir} is not empty: back up into an empty folder.`)
  const copied = new Map<string, ManifestFile>()
  for (let attempt = 1; ; attempt++) {
    const state = takeDatabase(paths.database, join(destDir, DATABASE))
    const missing = await copyFiles(dataDir, destDir, state.files, copied, onProgress)
    if (missing === undefined) {
      await finish(destDir, state, copied)
      return
    }
    if (attempt >= ATTEMPTS) throw new OpenError('damaged', `${missing} is named by the database and is not there: look with \`holdfast doctor\`.`)
    await rm(join(destDir, DATABASE))
  }
}

interface State {
  readonly epoch: string
  readonly commits: number
  /** Path and size of every file that the state needs. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
}

/** One read transaction, by a connection that writes nothing. */
function takeDatabase(from: string, to: string): State {
  const source = openDatabase(from, { readOnly: true, waitMs: 10_000 })
  try {
    versionOf(source)
    source.prepare('VACUUM INTO ?').run(to)
  } finally {
    source.close()
  }
  const db = openDatabase(to, { readOnly: true })
  try {
    const files: { path: string; bytes: number }[] = []
    for (const row of db.prepare('SELECT g.key, g.stored FROM segments g JOIN sessions s ON s.key = g.session').iterate()) {
      files.push({ path: segmentPath(row['key'] as number), bytes: row['stored'] as number })
    }
    for (const row of db.prepare('SELECT b.session, b.sha256, b.bytes FROM blobs b JOIN sessions s ON s.key = b.session').iterate()) {
      files.push({ path: blobPath(row['session'] as number, row['sha256'] as string), bytes: row['bytes'] as number })
    }
    return { epoch: readMeta(db, 'epoch') ?? '', commits: commitsOf(db), files }
  } finally {
    db.close()
  }
}

/** Copies what is not copied yet; the path of a file that went away meanwhile. */
async function copyFiles(
  dataDir: string,
  destDir: string,
  files: State['files'],
  copied: Map<string, ManifestFile>,
  onProgress: OnProgress,
): Promise<string | undefined> {
  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0)
  let doneBytes = 0
  for (const { path, bytes } of files) {
    if (!copied.has(path)) {
      const to = join(destDir, path)
      await makeFolder(dirname(to))
      try {
        await copyFile(join(dataDir, path), to)
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'ENOENT') throw error
        return path
      }
      copied.set(path, await describeFile(destDir, path))
    }
    doneBytes += bytes
    await onProgress({ doneBytes, totalBytes, files: files.length })
  }
  return undefined
}

async function finish(destDir: string, state: State, copied: Map<string, ManifestFile>): Promise<void> {
  const wanted = new Set(state.files.map(file => file.path))
  for (const path of copied.keys()) if (!wanted.has(path)) await rm(join(destDir, path))
  const files = [await describeFile(destDir, DATABASE), ...state.files.map(file => copied.get(file.path) as ManifestFile)]
  const folders = new Set<string>()
  for (const file of files) {
    await syncFile(join(destDir, file.path))
    folders.add(dirname(join(destDir, file.path)))
  }
  for (const folder of folders) await syncFolder(folder)
  const manifest: Manifest = { format: 1, epoch: state.epoch, commits: state.commits, files }
  const temporary = join(destDir, `${MANIFEST}.part`)
  await writeFile(temporary, `${JSON.stringify(manifest, null, 1)}\n`, { mode: 0o600 })
  await syncFile(temporary)
  await rename(temporary, join(destDir, MANIFEST))
  await syncFolder(destDir)
}

/** Makes a data folder from a backup, under a new epoch; its checksums are verified first. Refuses a folder that is not empty. Throws OpenError. */
export async function restoreStore(srcDir: string, dataDir: string, onProgress: OnProgress = () => {}): Promise<{ readonly epoch: string }> {
  const manifest = await readManifest(srcDir)
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  if (readdirSync(dataDir).length > 0) throw new OpenError('in_use', `${dataDir} is not empty: restore into an empty folder.`)
  const paths = pathsOf(dataDir)
  await writeFile(paths.restoring, '')
  await syncFolder(dataDir)
  const totalBytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
  let doneBytes = 0
  for (const file of manifest.files) {
    const to = join(dataDir, file.path)
    await makeFolder(dirname(to))
    await copyFile(join(srcDir, file.path), to).catch((error: unknown) => {
      throw new OpenError('damaged', `${file.path} of the backup can not be read.`, { cause: error })
    })
    const found = await describeFile(dataDir, file.path)
    if (found.sha256 !== file.sha256) throw new OpenError('damaged', `${file.path} of the backup is damaged.`)
    await syncFile(to)
    await syncFolder(dirname(to))
    doneBytes += file.bytes
    await onProgress({ doneBytes, totalBytes, files: manifest.files.length })
  }
  const epoch = randomEpoch()
  const commits = manifest.commits + 1
  const db = openDatabase(paths.database)
  try {
    setEpoch(db, { epoch, commits })
  } finally {
    db.close()
  }
  const guard = openGuard(paths.guard)
  guard.write({ epoch, commits })
  guard.sync()
  guard.close()
  await syncFile(paths.database)
  await rm(paths.restoring)
  await syncFolder(dataDir)
  return { epoch }
}

async function readManifest(srcDir: string): Promise<Manifest> {
  let manifest: Partial<Manifest> | null
  try {
    manifest = JSON.parse(await readFile(join(srcDir, MANIFEST), 'utf8')) as Partial<Manifest> | null
  } catch (error) {
    throw new OpenError('damaged', `${srcDir} is not a whole backup: its ${MANIFEST} is missing or damaged.`, { cause: error })
  }
  if (manifest?.format !== 1 || !Array.isArray(manifest.files)) throw new OpenError('unsupported', `The backup in ${srcDir} was made by another version.`)
  const isInside = (path: unknown): boolean => typeof path === 'string' && /^(holdfast\.db|segments\/\d+\/\d+\.seg|blobs\/\d+\/[0-9a-f]{64})$/.test(path)
  if (!manifest.files.every(file => isInside(file.path))) throw new OpenError('damaged', `The ${MANIFEST} in ${srcDir} is damaged.`)
  return manifest as Manifest
}

async function describeFile(folder: string, path: string): Promise<ManifestFile> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(join(folder, path)) as AsyncIterable<Uint8Array>) hash.update(part)
  return { path, bytes: (await stat(join(folder, path))).size, sha256: hash.digest('hex') }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
