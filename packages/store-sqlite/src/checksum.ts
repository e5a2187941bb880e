import { crc32 } from 'node:zlib'
import type { Row, Value } from './database.ts'

/** CRC-32 over the fields that say what a body is, and the body. */
export const sumOf = (fields: readonly Value[], body: Uint8Array | string = ''): number => crc32(body, crc32(fields.join('\u0001')))

/** True when a stored row's `crc` fits. */
export const sumFits = (row: Row, fields: readonly Value[], body: Uint8Array | string = ''): boolean => row['crc'] === sumOf(fields, body)
