// The same server without a log on disk: storing-nothing.ts DATA_DIR (the folder holds the token file alone).
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import type { Doc, SessionRow, Store } from '@holdfast/core'
import { loadConfig, readTextFile, startServer } from '@holdfast/server'

/** Takes every commit at once and keeps rows, ids of creations and docs; no event is kept, so readers live on the tail in memory. */
function createStoreOfNothing(): Store {
  const rows = new Map<string, SessionRow>()
  const docs = new Map<string, Doc>()
  const listeners = new Map<string, Set<(head: number) => void>>()
  const ringing = new Map<string, number>()
  let fences = 0
  const ring = (): void => {
    for (const [id, head] of ringing) for (const listener of listeners.get(id) ?? []) listener(head)
    ringing.clear()
  }
  return {
    epoch: 'nothing',
    durability: 'relaxed',
    async commit({ creates = [], appends = [], patches = [], docs: changed = [] }) {
      for (const row of creates) rows.set(row.id, row)
      for (const append of appends) {
        const row = rows.get(append.sessionId)
        if (!row) continue
        rows.set(append.sessionId, { ...row, head: append.lastSeq, activityAt: append.activityAt, bytes: row.bytes + append.body.byteLength })
        if (!listeners.has(append.sessionId)) continue
        if (ringing.size === 0) setImmediate(ring)
        ringing.set(append.sessionId, append.lastSeq)
      }
      for (const { sessionId, ...patch } of patches) {
        const row = rows.get(sessionId)
        if (row) rows.set(sessionId, { ...row, ...patch })
      }
      for (const doc of changed) docs.set(`${doc.collection}\n${doc.id}`, doc)
    },
    getSession: async id => rows.get(id),
    listSessions: async ({ limit }) => [...rows.values()].slice(0, limit),
    countSessions: async () => rows.size,
    findIds: async keys => keys.map(() => undefined),
    expireIds: async () => 0,
    read: async () => undefined,
    wake(id, listener) {
      const set = listeners.get(id) ?? new Set()
      listeners.set(id, set.add(listener))
      return () => {
        set.delete(listener)
        if (set.size === 0) listeners.delete(id)
      }
    },
    putSnapshot: async () => undefined,
    getSnapshot: async () => undefined,
    putBlob: () => Promise.reject(new Error('no blobs here')),
    getBlob: async () => undefined,
    getDoc: async (collection, id) => docs.get(`${collection}\n${id}`)?.value ?? undefined,
    listDocs: async collection =>
      [...docs.values()].flatMap(doc => (doc.collection === collection && doc.value !== null ? [{ id: doc.id, value: doc.value }] : [])),
    acquireLease: async () => ++fences,
    stats: async () => ({ sessions: rows.size, logBytes: 0, commits: 0, quarantined: [] }),
    close: async () => undefined,
  }
}

const dataDir = process.argv[2] ?? ''
mkdirSync(dataDir, { recursive: true })
const config = loadConfig({ flags: { data_dir: dataDir, port: 0 }, env: process.env, readFile: readTextFile, home: homedir(), cwd: process.cwd() })
const logger = { debug() {}, info() {}, warn: console.error, error: console.error }
const server = await startServer({ config, store: createStoreOfNothing(), logger, onFatal: error => console.error(error) })
console.log(JSON.stringify({ url: server.url, pid: process.pid, token_file: server.tokenFile }))
