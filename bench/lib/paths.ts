import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const BENCH = dirname(dirname(fileURLToPath(import.meta.url)))
export const ROOT = dirname(BENCH)
/** The built command. */
export const BIN = join(ROOT, 'packages/cli/bin/holdfast.mjs')
