import { rm } from 'node:fs/promises'
import type { StreamId } from './frames.ts'
import { type HolderExit, type HolderRecord, readExit, readRecord } from './holder-record.ts'
import type { HolderListener } from './link.ts'
import { isRunning, type Processes, signalGroup } from './processes.ts'
import { endOf, findSegments, readSegments } from './spool-files.ts'
import { createTail, WINDOW_BYTES } from './tail.ts'

/** What a holder left: its folder is all of it. */
export interface HolderRemains {
  readonly folder: string
  /** Undefined where it never came to a program. */
  readonly record: HolderRecord | undefined
  /** Undefined where the holder was killed, or the machine stopped: how its program ended is not known. */
  readonly exit: HolderExit | undefined
  /** What the spool has of each stream. */
  readonly streams: readonly { readonly start: number; readonly end: number }[]
  /** Up to `maxBytes` of a stream from `offset` on; none at the end. Throws RangeError below the start. */
  read(offset: number, maxBytes: number, stream?: StreamId): Uint8Array
  /** Reads from these offsets on as a link's `read` does, at most a window of it unacked; ends with onExit, or onLost `gone` where there is no exit record. */
  follow(from: readonly [number, number?], listener: HolderListener): RemainsReading
  /** Ends what may be left of the program, and removes the folder. */
  remove(): Promise<void>
}

/** A reading of remains; acks make room for more of it. */
export interface RemainsReading {
  ack(offset: number, stream?: StreamId): void
  close(): void
}

/** Reads a dead holder's folder, as it is now. */
export function remainsOf(folder: string, processes: Processes): HolderRemains {
  const segments = ([0, 1] as const).map(stream => findSegments(folder, stream))
  const record = readRecord(folder)
  const exit = readExit(folder)
  return {
    folder,
    record,
    exit,
    streams: segments.map(list => ({ start: list[0]?.start ?? 0, end: endOf(list) })),
    read: (offset, maxBytes, stream = 0) => readSegments(segments[stream] ?? [], offset, maxBytes),
    follow([stdout, stderr = 0], listener) {
      const acked: [number, number] = [stdout, stderr]
      const tail = createTail({ folder, exit, from: [stdout, stderr], acked, windowBytes: WINDOW_BYTES, listener })
      return {
        ack(offset, stream = 0) {
          acked[stream] = Math.max(acked[stream], offset)
          tail.pump()
        },
        close: () => tail.stop(),
      }
    },
    async remove() {
      // Its terminal is gone, and it was hung up; some do not care.
      if (record?.program && record.bootId === processes.bootId() && isRunning(processes, record.program)) {
        for (const group of [record.program.pid, ...processes.groupsOfSession(record.program.pid)]) signalGroup(group, 'SIGKILL')
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}
