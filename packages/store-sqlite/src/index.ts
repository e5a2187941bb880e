export { OpenError, type OpenErrorCode } from './errors.ts'
export { openSqliteStore, type SqliteStore, type SqliteStoreOptions } from './sqlite-store.ts'
