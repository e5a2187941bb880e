import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { spoolHook } from './entry.ts'
import { addRecord, listDeadLetters, listRecords, ownFolder, readRecord, removeRecord, spoolPlaces } from './spool.ts'

let spool: string
beforeEach(() => {
  spool = mkdtempSync(join(tmpdir(), 'holdfast-spool-'))
})
afterEach(() => rmSync(spool, { recursive: true, force: true }))

it('[RUN-12] [fault 15] records keep the order of their calls, also when the clock goes back an hour', () => {
  const times = [5_000_000, 5_000_000, 1_400_000, 1_400_001, 9_000_000]
  const names = times.map((atMs, index) => addRecord(spool, { v: 1, at_ms: atMs }, String(index), atMs))
  expect(listRecords(spool)).toEqual(names)
  expect(listRecords(spool).map(name => readRecord(spool, name)?.text)).toEqual(['0', '1', '2', '3', '4'])
})

it('[RUN-12] no name is used twice, also for the same moment in an emptied queue', () => {
  const names = new Set<string>()
  for (let i = 0; i < 200; i++) {
    const name = addRecord(spool, { v: 1, at_ms: 1 }, '', 1)
    names.add(name)
    removeRecord(spool, name)
  }
  expect(names.size).toBe(200)
})

it('[RUN-12] a half-written record is never seen, and files are their owner’s alone', () => {
  const name = addRecord(spool, { v: 1, at_ms: 1 }, '{}', 1)
  const { queue } = spoolPlaces(spool)
  writeFileSync(join(queue, '.tmp-1-x'), '{"v":1')
  expect(listRecords(spool)).toEqual([name])
  expect(statSync(join(queue, name)).mode & 0o777).toBe(0o600)
  expect(statSync(queue).mode & 0o777).toBe(0o700)
})

it.each([
  ['rubbish', Buffer.from('{not json')],
  ['nothing', Buffer.from('')],
  ['another value', Buffer.from('[1]')],
  ['null', Buffer.from('null')],
  ['no hook', Buffer.from('{"session_id":"a"}')],
  ['not UTF-8', Buffer.from([0xff, 0xfe, 0x00])],
])('[RUN-12] %s on standard input becomes a dead letter with the reason and the content', (_what, input) => {
  expect(spoolHook(spool, input)).toBe('dead')
  expect(listRecords(spool)).toEqual([])
  const [name] = listDeadLetters(spool)
  const letter = JSON.parse(readFileSync(join(spoolPlaces(spool).dead, name as string), 'utf8'))
  expect(letter.reason).toMatch(/^Standard input/)
  expect(letter.base64 === undefined ? Buffer.from(letter.text) : Buffer.from(letter.base64, 'base64')).toEqual(input)
})

it('[RUN-12] the size of the transcript at the time of the call is kept with it', () => {
  const transcript = join(spool, 't.jsonl')
  writeFileSync(transcript, '12345\n')
  spoolHook(spool, Buffer.from(JSON.stringify({ session_id: 's', hook_event_name: 'Stop', transcript_path: transcript })), 'http://h')
  const record = readRecord(spool, listRecords(spool)[0] as string)
  expect(record?.head).toMatchObject({ v: 1, transcript_bytes: 6, url: 'http://h' })
  expect(readdirSync(spoolPlaces(spool).queue)).toHaveLength(1)
  expect(existsSync(spoolPlaces(spool).dead)).toBe(false)
})

it.runIf(existsSync('/proc/self'))('[RUN-12] a place that takes no folders is an error at once, never a call that does not come back', () => {
  expect(() => ownFolder('/proc/nowhere/deep')).toThrow(/ENOENT/)
})
