import { crc32 } from 'node:zlib'
import type { Value } from './database.ts'

/** CRC-32 over the fields that say what a body is, and the body. */
export const sumOf = (fields: readonly Value[], body: Uint8Array | string = ''): number => crc32(body, crc32(fields.join('\u0001')))
