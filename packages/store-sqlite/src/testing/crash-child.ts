/**
 * Writes at random until it is killed, and says on stdout what was acked: `node crash-child.ts <data folder> <seed> [fault as JSON]`.
 * One JSON line each: `{a: session, first, texts}`, `{t: session, floor}`, `{d: session}`.
 */
import { writeSync } from 'node:fs'
import { appendOf, FENCE_OF_CHILD, recordOfChild, rowOfChild } from './child-rows.ts'
import { openSqliteStore } from '../sqlite-store.ts'

const [dataDir = '', seedText = '1', faultText] = process.argv.slice(2)
let seed = Number(seedText)
const random = (below: number): number => {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}
/** A pipe that nobody has emptied yet is waited for: a line that is lost would be a promise that is not checked. */
const say = (line: object): void => {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
  for (let at = 0; at < bytes.byteLength; ) {
    try {
      at += writeSync(1, bytes, at)
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EAGAIN') throw error
    }
  }
}

const store = await openSqliteStore({ dataDir, segmentBytes: 3000, ...(faultText ? { fault: JSON.parse(faultText) } : {}) })
const lasting = ['s0', 's1', 's2', 's3']
for (const id of lasting) if (!(await store.getSession(id))) await store.commit({ creates: [rowOfChild(id)], fence: FENCE_OF_CHILD })

async function write(id: string): Promise<void> {
  let head = (await store.getSession(id))?.head ?? 0
  for (;;) {
    const texts = Array.from({ length: 1 + random(5) }, (_, index) => JSON.stringify(`${id} ${head + 1 + index} ${seedText} ${'x'.repeat(random(600))}`))
    const first = head + 1
    head += texts.length
    const ids = [{ sessionId: id, sender: 'c:x', id: `${id}-${first}-${seedText}`, digest: '', firstSeq: first, lastSeq: head, at: 1, answer: '' }]
    await store.commit({ appends: [appendOf(id, first, texts)], ids, fence: FENCE_OF_CHILD })
    say({ a: id, first, texts })
    if (random(6) === 0) {
      const floor = Math.max(0, head - random(60))
      await store.commit({ trims: [{ sessionId: id, floor }], fence: FENCE_OF_CHILD })
      say({ t: id, floor })
    }
    if (random(10) === 0) await store.putSnapshot(id, head, JSON.stringify({ head }))
  }
}

async function churn(): Promise<void> {
  for (let round = 0; ; round++) {
    const id = `gone-${seedText}-${round}`
    const texts = Array.from({ length: 20 }, () => JSON.stringify('y'.repeat(400)))
    await store.commit({ creates: [rowOfChild(id)], appends: [appendOf(id, 1, texts)], fence: FENCE_OF_CHILD })
    await store.fold()
    await store.commit({ drops: [{ sessionId: id, status: 'deleted', record: recordOfChild, keepLog: false }], fence: FENCE_OF_CHILD })
    say({ d: id })
  }
}

await Promise.all([...lasting.map(write), churn()])
