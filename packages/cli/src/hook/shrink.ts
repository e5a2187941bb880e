import { createHash } from 'node:crypto'
import { DEFAULT_LIMITS } from '@holdfast/protocol/wire'
import { isFields } from './lines.ts'
import type { Item } from './session-state.ts'

/** What an event's own JSON may take: the server counts its envelope too, ids of 128 characters and a date. */
export const ITEM_BYTES = DEFAULT_LIMITS.event_bytes - 1024

/** Short fields that say what an event is: never moved out. */
const FIXED = new Set(['event_type', 'id', 'role', 'type', 'tool_name', 'tool_use_id', 'timestamp', 'via'])

/** Content that is stored beside the log; an event has `{blob, media_type, bytes}` in its place. */
export interface Blob {
  readonly sha256: string
  readonly content: Uint8Array
}

const sizeOfJson = (value: unknown): number => Buffer.byteLength(JSON.stringify(value) ?? '')

/**
 * The same event with its largest fields moved out as blobs until it fits `limitBytes`.
 * Strings become text, anything else JSON; the smallest part that is most of the size is taken, so that the event keeps its form.
 */
export function shrink(item: Item, limitBytes = ITEM_BYTES): { item: Item; blobs: Blob[] } {
  const blobs: Blob[] = []
  let current: Item = item
  // One field after the other gets smaller, so this ends; the bound is for an event of countless small fields.
  for (let round = 0; round < 64 && sizeOfJson(current) > limitBytes; round++) {
    const path = largest(current)
    if (path.length === 0) break
    current = replaceAt(current, path, value => {
      const blob = blobOf(value)
      blobs.push(blob)
      return { blob: blob.sha256, media_type: typeof value === 'string' ? 'text/plain; charset=utf-8' : 'application/json', bytes: blob.content.byteLength }
    }) as Item
  }
  return { item: current, blobs }
}

function blobOf(value: unknown): Blob {
  const content = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return { sha256: createHash('sha256').update(content).digest('hex'), content }
}

/** Where the bulk of an event lies: down into the largest part for as long as it holds more than half of what holds it. */
function largest(item: Item): (string | number)[] {
  const path: (string | number)[] = []
  let value: unknown = item
  let size = sizeOfJson(item)
  while (isFields(value) || Array.isArray(value)) {
    const entries: [string | number, unknown][] = Array.isArray(value) ? value.map((part, index) => [index, part]) : Object.entries(value)
    let best: [string | number, unknown, number] | undefined
    for (const [key, part] of entries) {
      if ((path.length === 0 && FIXED.has(String(key))) || (isFields(part) && 'blob' in part)) continue
      const bytes = sizeOfJson(part)
      if (!best || bytes > best[2]) best = [key, part, bytes]
    }
    if (!best || (path.length > 0 && best[2] < size / 2)) break
    path.push(best[0])
    value = best[1]
    size = best[2]
  }
  return path
}

function replaceAt(value: unknown, path: readonly (string | number)[], change: (value: unknown) => unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return change(value)
  if (Array.isArray(value)) return value.map((part, index) => (index === key ? replaceAt(part, rest, change) : part))
  const fields = value as Record<string, unknown>
  return { ...fields, [key]: replaceAt(fields[key], rest, change) }
}
