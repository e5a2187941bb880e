/** Commits one event after the other and says `ACK <seq>` for each: `node sync-child.ts <data folder> <durability> <count>`. */
import { writeSync } from 'node:fs'
import { appendOf, FENCE_OF_CHILD, rowOfChild } from './child-rows.ts'
import { openSqliteStore } from '../sqlite-store.ts'

const [dataDir = '', durability, count] = process.argv.slice(2)
const store = await openSqliteStore({ dataDir, durability: durability === 'relaxed' ? 'relaxed' : 'full' })
await store.commit({ creates: [rowOfChild('a')], fence: FENCE_OF_CHILD })
for (let seq = 1; seq <= Number(count); seq++) {
  await store.commit({ appends: [appendOf('a', seq, [String(seq)])], fence: FENCE_OF_CHILD })
  writeSync(1, `ACK ${seq}\n`)
}
await store.close()
