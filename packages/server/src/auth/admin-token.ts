import { constants } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '@holdfast/core'
import { type Entropy, newSecret, TOKEN_PATTERN } from './secret.ts'

/** The admin's own token. */
export interface AdminToken {
  readonly secret: string
  /** Where it can be read; null where it was given by configuration. */
  readonly file: string | null
}

export interface AdminTokenOptions {
  readonly dataDir: string
  /** From `--token`; then no file is read or written. */
  readonly token?: string | null
  readonly random: Entropy
  readonly logger: Logger
}

const MODE = 0o600
const MAX_FILE_BYTES = 8192

/** Reads `<dataDir>/token`, or makes it (mode 0600, the token alone and a newline); call it as the holder of the data folder. Throws the file system's errors. */
export async function loadAdminToken({ dataDir, token, random, logger }: AdminTokenOptions): Promise<AdminToken> {
  if (token !== undefined && token !== null) return { secret: token, file: null }
  const file = join(dataDir, 'token')
  const known = await readToken(file, logger)
  if (known !== undefined) return { secret: known, file }
  const secret = `hf_admin_${newSecret(random)}`
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await writeToken(dataDir, file, secret)
  logger.info('admin token written', { file })
  return { secret, file }
}

async function readToken(file: string, logger: Logger): Promise<string | undefined> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!handle) return undefined
  try {
    const { mode, size } = await handle.stat()
    if ((mode & 0o077) !== 0) {
      logger.warn('the admin token could be read by others; its mode is now 0600, but whoever read it still has it', { file })
      await handle.chmod(MODE)
    }
    const text = size > MAX_FILE_BYTES ? '' : (await handle.readFile('utf8')).trim()
    if (TOKEN_PATTERN.test(text)) return text
    logger.warn('the admin token file held no token and is written anew', { file })
    return undefined
  } finally {
    await handle.close()
  }
}

/** A reader sees the old file, none, or the whole new one; a crash leaves one of these and a temporary file that the next call removes. */
async function writeToken(dataDir: string, file: string, secret: string): Promise<void> {
  const temporary = `${file}.tmp`
  await rm(temporary, { force: true })
  const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, MODE)
  try {
    await handle.chmod(MODE)
    await handle.writeFile(`${secret}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  const folder = await open(dataDir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
