import type { Append, Commit, IdKey, IdRow, SessionRow } from '@holdfast/core'
import { joinChunks, sliceChunk, type Chunk } from '@holdfast/protocol'

/** What is on disk in the journal and not yet in the tables that readers look into: the newest fraction of a second, looked through as a whole by the few who ask. */
export interface Overlay {
  /** Takes in what group commit number `number` has acknowledged. */
  add(number: number, commit: Commit): void
  /** All up to this group commit is in the tables. */
  filed(number: number): void
  /** As a store's `read`; undefined where the tables have it. */
  read(id: string, after: number, maxBytes: number): Chunk | undefined
  /** The newest seq of this session that the tables have, where something newer is held. */
  filedHead(id: string): number | undefined
  findId(key: IdKey): IdRow | undefined
  /** The row with what is held of its log. */
  grown(row: SessionRow): SessionRow
  readonly commits: Iterable<Commit>
  readonly isEmpty: boolean
}

export function createOverlay(): Overlay {
  /** In the order of the commits. */
  let groups: { readonly number: number; readonly commit: Commit }[] = []

  const appendsOf = (id: string): Append[] => {
    const appends: Append[] = []
    for (const { commit } of groups) for (const append of commit.appends ?? []) if (append.sessionId === id) appends.push(append)
    return appends
  }

  return {
    add: (number, commit) => void groups.push({ number, commit }),
    filed(number) {
      if (groups.length === 0 || (groups[0] as { number: number }).number > number) return
      const kept = groups.findIndex(group => group.number > number)
      groups = kept < 0 ? [] : groups.slice(kept)
    },
    read(id, after, maxBytes) {
      const appends = groups.length === 0 ? [] : appendsOf(id)
      if (!appends[0] || after + 1 < appends[0].firstSeq) return undefined
      const pieces: Chunk[] = []
      let bytes = 0
      for (const append of appends) {
        if (append.lastSeq <= after) continue
        const piece = sliceChunk(append, after, append.lastSeq, maxBytes - bytes)
        if (!piece || (pieces.length > 0 && bytes + piece.body.byteLength > maxBytes)) break
        pieces.push(piece)
        bytes += piece.body.byteLength
        if (piece.lastSeq < append.lastSeq || bytes >= maxBytes) break
      }
      return pieces.length === 0 ? undefined : joinChunks(pieces)
    },
    filedHead(id) {
      const [first] = appendsOf(id)
      return first && first.firstSeq - 1
    },
    findId(key) {
      const name = nameOf(key)
      for (const { commit } of groups) for (const row of commit.ids ?? []) if (row.id === key.id && nameOf(row) === name) return row
      return undefined
    },
    grown(row) {
      if (groups.length === 0) return row
      let { head, bytes, activityAt } = row
      for (const append of appendsOf(row.id)) {
        if (append.firstSeq !== head + 1) continue
        head = append.lastSeq
        bytes += append.body.byteLength
        activityAt = append.activityAt
      }
      return head === row.head ? row : { ...row, head, bytes, activityAt }
    },
    get commits() {
      return groups.map(group => group.commit)
    },
    get isEmpty() {
      return groups.length === 0
    },
  }
}

/** One text for each key: ids and senders hold no line breaks. */
export const nameOf = ({ sessionId, sender, id }: IdKey): string => `${sessionId}\n${sender}\n${id}`
