import { DatabaseSync } from 'node:sqlite'

export type Value = null | number | string | Uint8Array
export type Row = Record<string, Value>

export interface Statement {
  get(...values: Value[]): Row | undefined
  all(...values: Value[]): Row[]
  iterate(...values: Value[]): Iterable<Row>
  run(...values: Value[]): { readonly changes: number; readonly lastInsertRowid: number }
}

/** All that the store asks of a SQLite binding. */
export interface Database {
  exec(sql: string): void
  prepare(sql: string): Statement
  inTransaction(): boolean
  close(): void
}

/** Two connections that write and checkpoint at once can corrupt a WAL database before this version. */
const OLDEST_SQLITE = [3, 51, 3] as const

/** The version when it is too old, undefined when it is fine. */
export function outdatedSqlite(version: string = process.versions['sqlite'] ?? '0'): string | undefined {
  const parts = version.split('.').map(Number)
  for (const [index, least] of OLDEST_SQLITE.entries()) {
    const part = parts[index] ?? 0
    if (part !== least) return part < least ? version : undefined
  }
  return undefined
}

/** Opens a file; a lock held by another is waited for `waitMs`. */
export function openDatabase(path: string, options: { readonly readOnly?: boolean; readonly waitMs?: number } = {}): Database {
  const db = new DatabaseSync(path, { readOnly: options.readOnly ?? false, timeout: options.waitMs ?? 0, enableForeignKeyConstraints: false })
  return {
    exec: sql => db.exec(sql),
    prepare: sql => db.prepare(sql) as unknown as Statement,
    inTransaction: () => db.isTransaction,
    close: () => db.close(),
  }
}

/** Prepares each statement once. */
export type Sql = (text: string) => Statement

export function cachedSql(db: Database): Sql {
  const statements = new Map<string, Statement>()
  return text => {
    const known = statements.get(text)
    if (known) return known
    const statement = db.prepare(text)
    statements.set(text, statement)
    return statement
  }
}

/** `full` and `damaged` leave the connection usable; after `fatal` the state of the file is unknown. */
export type SqliteFault = 'full' | 'damaged' | 'locked' | 'fatal'

/** SQLITE_IOERR_SHMSIZE: the index of the write-ahead log could not grow; the transaction is taken back as on any full disk. */
const NO_ROOM_FOR_INDEX = 4874

/** What a thrown error of SQLite or of the file system means (https://sqlite.org/rescode.html). */
export function faultOf(error: unknown): SqliteFault {
  const { errcode, code } = error as { errcode?: unknown; code?: unknown }
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'full'
  if (typeof errcode !== 'number') return 'fatal'
  if (errcode === NO_ROOM_FOR_INDEX) return 'full'
  switch (errcode & 0xff) {
    case 13:
      return 'full'
    case 11:
    case 26:
      return 'damaged'
    case 5:
    case 6:
      return 'locked'
    default:
      return 'fatal'
  }
}
