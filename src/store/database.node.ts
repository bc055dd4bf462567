/**
 * SQLite, for what is changed and asked for in many ways: labels. What a transaction has written survives a killed process
 * and a power cut (write-ahead log, synchronous FULL). Only the owner of the file may read it.
 */
import { chmodSync, closeSync, openSync } from 'node:fs'
import Database from 'libsql'
import { badInput } from '../util/fault.ts'

export type Db = {
  /** Runs work as one transaction: all of it is stored, or nothing. Transactions do not nest. */
  transaction<T>(work: () => T): T
  run(sql: string, ...values: readonly SqlValue[]): { changes: number; id: number }
  get<Row>(sql: string, ...values: readonly SqlValue[]): Row | undefined
  all<Row>(sql: string, ...values: readonly SqlValue[]): Row[]
  close(): void
}

export type SqlValue = string | number | null

/** How long to wait for another process that writes. */
const busyMilliseconds = 5000

/**
 * Opens a database, or makes it.
 * @param migrations SQL of each version of its tables; those that a file lacks are run, in one transaction each
 * Throws Faults 'bad-file' where the file is no database, or one of a later version.
 */
export const openDatabase = (path: string, migrations: readonly string[]): Db => {
  keepPrivate(path)
  let db: Database.Database
  try {
    db = new Database(path)
    // First of all: another process may be reading the log that a killed one left
    db.pragma(`busy_timeout = ${busyMilliseconds}`)
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
  } catch (error) {
    if (/^SQLITE_BUSY|^SQLITE_LOCKED/.test((error as { code?: string }).code ?? ''))
      throw badInput('bad-file', 'is in use by another process; end that one first', { file: path })
    throw badInput('bad-file', 'is no SQLite database; choose another file', { file: path })
  }
  const statements = new Map<string, Database.Statement>()
  const prepared = (sql: string) => {
    const known = statements.get(sql)
    if (known) return known
    const made = db.prepare(sql)
    statements.set(sql, made)
    return made
  }
  const transaction = <T>(work: () => T): T => {
    db.exec('BEGIN IMMEDIATE')
    try {
      const made = work()
      db.exec('COMMIT')
      return made
    } catch (error) {
      // Where the disk is full, SQLite has ended it already
      if (db.inTransaction) db.exec('ROLLBACK')
      throw error
    }
  }
  const version = () => (db.pragma('user_version') as [{ user_version: number }])[0].user_version
  if (version() > migrations.length) {
    db.close()
    throw badInput('bad-file', 'was written by a later version of attune; use that version', { file: path })
  }
  for (const [n, sql] of migrations.entries())
    if (n >= version())
      transaction(() => {
        // Another process may have been faster
        if (n < version()) return
        db.exec(sql)
        db.exec(`PRAGMA user_version = ${n + 1}`)
      })
  return {
    transaction,
    run(sql, ...values) {
      const { changes, lastInsertRowid } = prepared(sql).run(...values)
      return { changes, id: Number(lastInsertRowid) }
    },
    get<Row>(sql: string, ...values: readonly SqlValue[]) {
      const row = prepared(sql).get(...values) as (Row & { _metadata?: unknown }) | undefined
      // libsql adds how long it took
      if (row) delete row._metadata
      return row
    },
    all: <Row>(sql: string, ...values: readonly SqlValue[]) => prepared(sql).all(...values) as Row[],
    close: () => db.close(),
  }
}

/** The files beside it (-wal, -shm) take its permissions. */
const keepPrivate = (path: string) => {
  try {
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
  } catch (error) {
    throw badInput('bad-file', `cannot be written (${(error as NodeJS.ErrnoException).code}); choose another place`, {
      file: path,
    })
  }
}
