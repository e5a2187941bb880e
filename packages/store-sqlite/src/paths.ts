import { join } from 'node:path'

/** Where everything of the store lies in a data folder. */
export const pathsOf = (dataDir: string) => ({
  dataDir,
  database: join(dataDir, 'holdfast.db'),
  lock: join(dataDir, 'lock.db'),
  guard: join(dataDir, 'guard'),
  segments: join(dataDir, 'segments'),
  blobs: join(dataDir, 'blobs'),
  /** Blobs on their way in; swept at start. */
  incoming: join(dataDir, 'blobs', 'incoming'),
  /** Is there while a restore has not finished. */
  restoring: join(dataDir, 'restoring'),
})

export type Paths = ReturnType<typeof pathsOf>

/** Files of one folder are few enough to list: 4096 segments of about 256 KiB. */
const SEGMENTS_PER_FOLDER = 4096

/** A segment's file, relative to the data folder. */
export const segmentPath = (key: number): string => join('segments', String(Math.floor(key / SEGMENTS_PER_FOLDER)), `${key}.seg`)

/** Where a session's blobs lie, relative to the data folder. */
export const blobFolder = (session: number): string => join('blobs', String(session))

/** A blob's file, relative to the data folder. */
export const blobPath = (session: number, sha256: string): string => join('blobs', String(session), sha256)
