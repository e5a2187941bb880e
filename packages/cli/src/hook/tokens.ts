import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ownFolder, writeWhole } from './spool.ts'

const fileOf = (spool: string): string => join(spool, 'tokens.json')
const keyOf = (url: string): string => url.replace(/\/+$/, '')

function load(spool: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(fileOf(spool), 'utf8')) as Record<string, string>
  } catch {
    return {}
  }
}

/** The token that `hook install` was given for a server; settings files are shared, so it is never written there. */
export const savedToken = (spool: string, url: string): string | undefined => load(spool)[keyOf(url)]

/** Keeps a token for a server, readable by its owner alone. */
export const saveToken = (spool: string, url: string, token: string): void =>
  writeWhole(fileOf(spool), JSON.stringify({ ...load(spool), [keyOf(url)]: token }), ownFolder(spool))
