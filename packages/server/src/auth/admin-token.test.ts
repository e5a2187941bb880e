import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadAdminToken } from './admin-token.ts'

let dataDir = ''
const logged: string[] = []
const log = (message: string, fields?: unknown) => void logged.push(`${message} ${JSON.stringify(fields ?? {})}`)
const logger = { debug: log, info: log, warn: log, error: log }
const random = { id: () => 'id', bytes: (length: number) => randomBytes(length) }
const load = (token?: string) => loadAdminToken({ dataDir, random, logger, ...(token === undefined ? {} : { token }) })
const modeOf = async (file: string) => (await stat(file)).mode & 0o777

beforeEach(async () => {
  logged.length = 0
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-token-'))
})
afterEach(() => rm(dataDir, { recursive: true, force: true }))

test('[OPS-01] the first start writes a token that only the owner can read; the next one reads it again', async () => {
  const first = await load()
  expect(first.file).toBe(join(dataDir, 'token'))
  expect(first.secret).toMatch(/^hf_admin_[A-Za-z0-9_-]{43}$/)
  expect(await readFile(join(dataDir, 'token'), 'utf8')).toBe(`${first.secret}\n`)
  expect(await modeOf(join(dataDir, 'token'))).toBe(0o600)
  expect(await readdir(dataDir)).toEqual(['token'])
  expect(await load()).toEqual(first)
  expect(logged.join()).not.toContain(first.secret)
})

test('[OPS-01] the mode is 0600 whatever the umask', async () => {
  const before = process.umask(0)
  try {
    const { file } = await load()
    expect(await modeOf(file ?? '')).toBe(0o600)
  } finally {
    process.umask(before)
  }
})

test('[OPS-01] with a token of its own no file is read, written or named', async () => {
  await writeFile(join(dataDir, 'token'), 'other\n')
  expect(await load('mine')).toEqual({ secret: 'mine', file: null })
  expect(await readFile(join(dataDir, 'token'), 'utf8')).toBe('other\n')
})

test('[OPS-01] a missing file is made anew with another token, also where the folder is missing or a crash left a half-written one', async () => {
  const first = await load()
  await rm(join(dataDir, 'token'))
  await writeFile(join(dataDir, 'token.tmp'), 'hf_admin_ha')
  const second = await load()
  expect(second.secret).not.toBe(first.secret)
  expect(await readdir(dataDir)).toEqual(['token'])
  await rm(dataDir, { recursive: true })
  expect((await load()).secret).not.toBe(second.secret)
  expect(await modeOf(dataDir)).toBe(0o700)
})

test.each(['', '\n', 'two words\n', 'x'.repeat(9000)])('[OPS-01] a file that holds no token is reported and written anew (%#)', async text => {
  await writeFile(join(dataDir, 'token'), text, { mode: 0o600 })
  const { secret } = await load()
  expect(secret).toMatch(/^hf_admin_/)
  expect(await readFile(join(dataDir, 'token'), 'utf8')).toBe(`${secret}\n`)
  expect(logged.join()).toContain('held no token')
})

test('[OPS-01] a file that others could read is closed to them, with a warning', async () => {
  const { secret } = await load()
  await chmod(join(dataDir, 'token'), 0o644)
  expect((await load()).secret).toBe(secret)
  expect(await modeOf(join(dataDir, 'token'))).toBe(0o600)
  expect(logged.join()).toContain('could be read by others')
})

test('[OPS-01] a token file that cannot be read is an error, never a new token', async () => {
  dataDir = join(dataDir, 'file')
  await writeFile(dataDir, 'not a folder')
  await expect(load()).rejects.toMatchObject({ code: 'ENOTDIR' })
  dataDir = join(dataDir, '..')
})
