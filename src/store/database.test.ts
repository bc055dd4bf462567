import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openDatabase } from './database.node.ts'

let dir: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'attune-database-'))
  path = join(dir, 'x.db')
})
afterEach(() => rmSync(dir, { recursive: true }))

const root = fileURLToPath(new URL('../..', import.meta.url))
const tables = ['CREATE TABLE votes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT']

it('runs the migrations that a file lacks, once', () => {
  const first = openDatabase(path, tables)
  first.run('INSERT INTO votes (text) VALUES (?)', 'a')
  first.close()
  const later = openDatabase(path, [...tables, "ALTER TABLE votes ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"])
  expect(later.all('SELECT * FROM votes')).toEqual([{ id: 1, text: 'a', note: 'none' }])
  later.close()
  expect(() => openDatabase(path, tables)).toThrow(/written by a later version of attune/)
})

it('stores all of a transaction or nothing of it', () => {
  const db = openDatabase(path, tables)
  expect(() =>
    db.transaction(() => {
      db.run('INSERT INTO votes (text) VALUES (?)', 'a')
      throw new Error('half way')
    }),
  ).toThrow('half way')
  expect(db.get('SELECT count(*) AS n FROM votes')).toEqual({ n: 0 })
  db.transaction(() => db.run('INSERT INTO votes (text) VALUES (?)', 'b'))
  expect(db.all('SELECT text FROM votes')).toEqual([{ text: 'b' }])
  db.close()
})

it('keeps what a killed process had written', () => {
  const module = fileURLToPath(new URL('../../dist/store/database.node.js', import.meta.url))
  const program = `import { openDatabase } from ${JSON.stringify(module)}
const db = openDatabase(${JSON.stringify(path)}, ${JSON.stringify(tables)})
for (let i = 0; i < 20; i++) db.run('INSERT INTO votes (text) VALUES (?)', String(i))
process.kill(process.pid, 'SIGKILL')`
  expect(() => execFileSync(process.execPath, ['--input-type=module', '-e', program])).toThrow()
  const db = openDatabase(path, tables)
  expect(db.get('SELECT count(*) AS n FROM votes')).toEqual({ n: 20 })
  db.close()
})

it('writes to the disk before a statement returns', () => {
  const db = openDatabase(path, tables)
  expect(db.get('PRAGMA synchronous')).toEqual({ synchronous: 2 })
  expect(db.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' })
  db.close()
})

it.runIf(process.platform !== 'win32')('can be read by its owner alone, its side files too', () => {
  const db = openDatabase(path, tables)
  db.run('INSERT INTO votes (text) VALUES (?)', 'a')
  for (const file of [path, `${path}-wal`, `${path}-shm`]) expect(statSync(file).mode & 0o777).toBe(0o600)
  db.close()
})

it('refuses a file that is no database', () => {
  writeFileSync(path, 'prompt,response\nhow are you,fine\n'.repeat(100))
  expect(() => openDatabase(path, tables)).toThrow(/is no SQLite database/)
  expect(() => openDatabase(join(dir, 'no', 'x.db'), tables)).toThrow(/cannot be written \(ENOENT\)/)
})

it('waits for a process that holds the file for a moment', async () => {
  const hold = `import Database from 'libsql'
    const db = new Database(process.argv[1])
    db.exec(process.argv[2] + '; PRAGMA user_version = 1; PRAGMA journal_mode = WAL; PRAGMA locking_mode = EXCLUSIVE')
    db.exec("BEGIN EXCLUSIVE; INSERT INTO votes (text) VALUES ('held')")
    console.log('held')
    setTimeout(() => { db.exec('COMMIT'); process.exit() }, 300)`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', hold, path, tables[0]], { cwd: root })
  await new Promise((done) => holder.stdout.once('data', done))
  const db = openDatabase(path, tables)
  expect(db.all('SELECT text FROM votes')).toEqual([{ text: 'held' }])
  db.close()
})
