import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readLines } from './transcript.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-transcript-'))
  path = join(folder, 't.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const valuesOf = (from: number, to?: number) => readLines(path, from, to).lines.map(line => line.value)

it('[RUN-12] gives whole lines from an offset, and leaves a half-written one for later', () => {
  writeFileSync(path, '{"n":1}\n{"n":2}\n{"n":')
  const { lines } = readLines(path, 0)
  expect(lines.map(line => line.value)).toEqual([{ n: 1 }, { n: 2 }])
  const end = lines.at(-1)?.end as number
  expect(valuesOf(end)).toEqual([])
  appendFileSync(path, '3}\n')
  expect(valuesOf(end)).toEqual([{ n: 3 }])
})

it('[RUN-12] reads no line that ends behind the given place', () => {
  writeFileSync(path, '{"n":1}\n{"n":2}\n')
  expect(valuesOf(0, 15)).toEqual([{ n: 1 }])
  expect(valuesOf(0, 16)).toEqual([{ n: 1 }, { n: 2 }])
})

it('[RUN-12] [fault 28] characters of several bytes and lines longer than a piece come whole', () => {
  const long = { text: '😀é'.repeat(600_000) }
  writeFileSync(path, `${JSON.stringify(long)}\n${JSON.stringify({ n: 2 })}\n`)
  expect(valuesOf(0)).toEqual([long, { n: 2 }])
})

it('[RUN-12] lines that are no JSON, and empty ones, keep their place and have no value', () => {
  writeFileSync(path, 'oh\n\n{"n":1}\n')
  expect(readLines(path, 0).lines).toEqual([
    { value: undefined, end: 3 },
    { value: undefined, end: 4 },
    { value: { n: 1 }, end: 12 },
  ])
})

it('[RUN-12] a file that was written anew is read from its start; one that is not there has no lines', () => {
  writeFileSync(path, '{"n":1}\n{"n":2}\n')
  truncateSync(path, 8)
  expect(valuesOf(16)).toEqual([{ n: 1 }])
  expect(readLines(join(folder, 'no'), 0)).toEqual({ lines: [], more: false })
})

it('[RUN-12] a long transcript comes in parts', () => {
  writeFileSync(path, `${JSON.stringify({ text: 'x'.repeat(1000) })}\n`.repeat(5000))
  let from = 0
  let count = 0
  for (let more = true; more; ) {
    const part = readLines(path, from, undefined, 1_000_000)
    count += part.lines.length
    from = part.lines.at(-1)?.end as number
    more = part.more
  }
  expect(count).toBe(5000)
})
