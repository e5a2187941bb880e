import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** The data folder, as the server finds it: the flag, the environment, or `~/.holdfast`. */
export const dataFolder = (flag?: string, env: NodeJS.ProcessEnv = process.env): string =>
  resolve(flag ?? (env.HOLDFAST_SERVE_DATA_DIR || env.HOLDFAST_DATA_DIR || join(homedir(), '.holdfast')))

/** Where hooks are spooled: HOLDFAST_SPOOL, or `hook-spool` in the data folder. */
export const spoolFolder = (dataDir: string, env: NodeJS.ProcessEnv = process.env): string =>
  env.HOLDFAST_SPOOL ? resolve(env.HOLDFAST_SPOOL) : join(dataDir, 'hook-spool')

/** The server's address where none was given (RUN-10). */
export const DEFAULT_URL = 'http://127.0.0.1:8765'

/** The file in the data folder that holds the admin token alone (contract section 9). */
export const tokenFile = (dataDir: string): string => join(dataDir, 'token')
