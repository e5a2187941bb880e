import { sumOf } from './checksum.ts'
import { faultOf, type Database, type Row } from './database.ts'
import { OpenError } from './errors.ts'

/** "HFST": says whose database a file is. */
const APPLICATION_ID = 0x48465354

/** Each is run once, in a transaction of its own; `user_version` says how many have been. */
export const MIGRATIONS: readonly ((db: Database) => void)[] = [
  db => db.exec(FIRST_SCHEMA),
  // Counts that are asked for often, kept instead of counted.
  db => {
    db.exec(`CREATE TABLE owners (owner TEXT PRIMARY KEY, sessions INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      INSERT INTO owners SELECT owner, count(*) FROM sessions WHERE status = 'live' AND kind <> 'feed' GROUP BY owner;`)
    const total = db
      .prepare(`SELECT count(*) FILTER (WHERE status = 'live' AND kind <> 'feed') AS sessions, coalesce(sum(bytes), 0) AS bytes FROM sessions`)
      .get()
    writeMeta(db, 'sessions', String(total?.['sessions'] ?? 0))
    writeMeta(db, 'log_bytes', String(total?.['bytes'] ?? 0))
  },
  // Group commits that are not filed into the other tables yet, a row each; key: the number of the commit.
  db => db.exec('CREATE TABLE journal (key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT'),
]

const FIRST_SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;

  -- loose: bytes in chunks, not yet in segments; folded: the newest seq in segments.
  CREATE TABLE sessions (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, owner TEXT NOT NULL, status TEXT NOT NULL, life TEXT NOT NULL,
    parent TEXT, created_at INTEGER NOT NULL, activity_at INTEGER NOT NULL, head INTEGER NOT NULL, floor INTEGER NOT NULL,
    bytes INTEGER NOT NULL, loose INTEGER NOT NULL, folded INTEGER NOT NULL, crc INTEGER NOT NULL, record_crc INTEGER NOT NULL, record TEXT NOT NULL
  ) STRICT;
  CREATE INDEX sessions_list ON sessions (activity_at, id, kind, life) WHERE status = 'live';
  CREATE INDEX sessions_owner ON sessions (owner, activity_at, id, kind, life) WHERE status = 'live';
  CREATE INDEX sessions_parent ON sessions (parent, activity_at, id) WHERE status = 'live' AND parent IS NOT NULL;
  CREATE INDEX sessions_trimmed ON sessions (key) WHERE floor > 0;

  CREATE TABLE chunks (key INTEGER PRIMARY KEY, session INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
  CREATE UNIQUE INDEX chunks_seq ON chunks (session, first_seq);

  -- bytes: of the body as it is read; stored: of the file; trimmed: bytes of it at or below the floor; blocks: block index of the file.
  CREATE TABLE segments (
    key INTEGER PRIMARY KEY, session INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, codec INTEGER NOT NULL,
    bytes INTEGER NOT NULL, stored INTEGER NOT NULL, trimmed INTEGER NOT NULL, crc INTEGER NOT NULL, blocks BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX segments_seq ON segments (session, first_seq);

  CREATE TABLE ids (
    session INTEGER NOT NULL, sender TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    at INTEGER NOT NULL, answer TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (session, sender, id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE snapshots (key INTEGER PRIMARY KEY, session INTEGER NOT NULL, seq INTEGER NOT NULL, codec INTEGER NOT NULL, crc INTEGER NOT NULL, state BLOB NOT NULL) STRICT;
  CREATE UNIQUE INDEX snapshots_seq ON snapshots (session, seq);

  CREATE TABLE docs (collection TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (collection, id)) STRICT, WITHOUT ROWID;
  CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL, expires_at INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE blobs (session INTEGER NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (session, sha256)) STRICT, WITHOUT ROWID;

  -- Logs that can not be trusted, by session id.
  CREATE TABLE quarantine (session TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT, WITHOUT ROWID;
  -- Files that are being written (kept = 0 until a row names them) or are to be removed.
  CREATE TABLE files (path TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT, WITHOUT ROWID;
  -- Keys of dropped sessions whose rows and files are still to be erased.
  CREATE TABLE erase (session INTEGER PRIMARY KEY) STRICT;
`

/** Every connection that writes. On macOS a plain fsync does not reach the disk. */
export function configureWriter(db: Database, durability: 'full' | 'relaxed'): void {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = ON; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY')
  db.exec(`PRAGMA synchronous = ${durability === 'full' ? 'FULL' : 'NORMAL'}`)
  db.exec('PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON')
}

/** Brings a database to the newest schema. Throws OpenError. */
export function migrate(db: Database, migrations: readonly ((db: Database) => void)[] = MIGRATIONS): void {
  const version = versionOf(db)
  if (version > migrations.length) {
    throw new OpenError('unsupported', `The database has schema ${version}, this program knows ${migrations.length}: use the newer program that wrote it.`)
  }
  for (let next = version; next < migrations.length; next++) {
    db.exec('BEGIN IMMEDIATE')
    try {
      migrations[next]?.(db)
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${next + 1}; COMMIT`)
    } catch (error) {
      if (db.inTransaction()) db.exec('ROLLBACK')
      throw error
    }
  }
}

/** How many migrations a database has had. Throws OpenError where it is not one of this store. */
export function versionOf(db: Database): number {
  const number = (pragma: string): number => Number(Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0] ?? 0)
  try {
    const version = number('user_version')
    const application = number('application_id')
    const tables = Number(db.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.['count'] ?? 0)
    if (application === APPLICATION_ID && version > 0 && tables > 0) return version
    if (application === 0 && version === 0 && tables === 0) return 0
  } catch (error) {
    if (faultOf(error) !== 'damaged') throw error
    throw new OpenError(
      'damaged',
      'holdfast.db is damaged and can not be opened: restore a backup into an empty folder, or move the file away to look at it.',
      { cause: error },
    )
  }
  throw new OpenError('damaged', 'holdfast.db is not a database of this program: start with another data folder, or restore a backup.')
}

/** A value of the meta table. Throws OpenError when its checksum does not fit. */
export function readMeta(db: Database, key: string): string | undefined {
  const row = db.prepare('SELECT value, crc FROM meta WHERE key = ?').get(key)
  if (!row) return undefined
  if (row['crc'] !== sumOf([key, row['value'] as string])) throw new OpenError('damaged', `holdfast.db is damaged (meta ${key}): restore a backup.`)
  return row['value'] as string
}

export function writeMeta(db: Database, key: string, value: string): void {
  db.prepare('INSERT INTO meta (key, value, crc) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, crc = excluded.crc').run(
    key,
    value,
    sumOf([key, value]),
  )
}

/** What a session's checksum covers, apart from its record. */
export const SESSION_COLUMNS = 'key, id, kind, owner, status, life, parent, created_at, activity_at, head, floor, bytes, loose, folded'
const sessionFields = SESSION_COLUMNS.split(', ')

/** True when the checksum of a row with SESSION_COLUMNS and `crc` fits. */
export const sessionFits = (row: Row): boolean => row['crc'] === sumOf(sessionFields.map(field => row[field] ?? null))

export const recordSum = (id: string, record: string): number => sumOf([id], record)
export const chunkSum = (session: number, firstSeq: number, lastSeq: number, body: Uint8Array): number => sumOf([session, firstSeq, lastSeq], body)
export const snapshotSum = (session: number, seq: number, codec: number, state: Uint8Array): number => sumOf([session, seq, codec], state)
export const docSum = (collection: string, id: string, value: string): number => sumOf([collection, id], value)

/** Over the columns of `ids` in their order. */
export const idSum = (row: Row): number =>
  sumOf(
    ['session', 'sender', 'id', 'digest', 'first_seq', 'last_seq', 'at'].map(field => row[field] ?? null),
    row['answer'] as string,
  )
