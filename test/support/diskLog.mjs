/**
 * Logs all changes of a program under a folder, in order and with their data, as a preload.
 * node --import ./diskLog.mjs with ATTUNE_DISK_LOG = {"log": FILE, "under": FOLDER}. powerLoss.ts replays the log. Each line is
 * one operation: ["open", id, path, {create, truncate}], ["write", id, at (-1: at the end), base64],
 * ["truncate", id, length], ["sync", id], ["mkdir" | "rmdir" | "unlink", path], ["rename" | "link" | "symlink", from, to].
 * Failed operations are not logged.
 */
import { constants, existsSync, lstatSync, readdirSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join, resolve } from 'node:path'
import { isMainThread } from 'node:worker_threads'

const plan = JSON.parse(process.env.ATTUNE_DISK_LOG ?? '{}')
const lines = []
const handles = new WeakMap()
let ids = 0

const inside = (path) => typeof path === 'string' && `${resolve(path)}/`.startsWith(`${plan.under}/`)
const note = (...operation) => lines.push(JSON.stringify(operation))
const bytesOf = (data, encoding) =>
  typeof data === 'string' ? Buffer.from(data, encoding) : Buffer.from(data.buffer, data.byteOffset, data.byteLength)

const modeOf = (flags = 'r') => {
  if (typeof flags === 'number')
    return {
      write: Boolean(flags & (constants.O_WRONLY | constants.O_RDWR)),
      append: Boolean(flags & constants.O_APPEND),
      create: Boolean(flags & constants.O_CREAT),
      truncate: Boolean(flags & constants.O_TRUNC),
    }
  const kind = flags.replace(/[sx]/g, '')
  return {
    ...{ write: kind !== 'r', append: kind.startsWith('a') },
    ...{ create: !kind.startsWith('r'), truncate: kind.startsWith('w') },
  }
}

const opened = (handle, path, mode) => {
  const id = ++ids
  handles.set(handle, { id, at: 0, append: mode.append, path: resolve(path) })
  note('open', id, resolve(path), { create: mode.create, truncate: mode.truncate })
  return handle
}

const originals = { ...fs }

fs.open = async (path, flags, mode) => {
  const handle = await originals.open(path, flags, mode)
  return inside(path) ? opened(handle, path, modeOf(flags)) : handle
}

/** Functions that open, write and close a file themselves; here they use a handle. */
const byHandle = (name, fallback) => async (path, data, options) => {
  if (!inside(path)) return originals[name](path, data, options)
  const handle = await fs.open(path, options?.flag ?? fallback)
  try {
    await handle[name](data, options)
  } finally {
    await handle.close()
  }
}
fs.writeFile = byHandle('writeFile', 'w')
fs.appendFile = byHandle('appendFile', 'a')
fs.copyFile = async (from, to, mode) =>
  inside(to) ? fs.writeFile(to, await originals.readFile(from)) : originals.copyFile(from, to, mode)

for (const name of ['rename', 'link'])
  fs[name] = async (from, to) => {
    await originals[name](from, to)
    if (inside(to)) note(name, resolve(from), resolve(to))
  }
fs.symlink = async (target, path, type) => {
  await originals.symlink(target, path, type)
  if (inside(path)) note('symlink', target, resolve(path))
}
fs.rmdir = async (path) => {
  await originals.rmdir(path)
  if (inside(path)) note('rmdir', resolve(path))
}
fs.unlink = async (path) => {
  await originals.unlink(path)
  if (inside(path)) note('unlink', resolve(path))
}
fs.mkdir = async (path, options) => {
  if (!inside(path)) return originals.mkdir(path, options)
  const missing = []
  for (let at = resolve(path); !existsSync(at); at = resolve(at, '..')) missing.unshift(at)
  const first = await originals.mkdir(path, options)
  for (const folder of missing) note('mkdir', folder)
  return first
}
const removed = (path) => {
  if (!lstatSync(path).isDirectory()) return note('unlink', path)
  for (const name of readdirSync(path)) removed(join(path, name))
  note('rmdir', path)
}
fs.rm = async (path, options) => {
  if (inside(path) && lstatSync(path, { throwIfNoEntry: false })) removed(resolve(path))
  return originals.rm(path, options)
}
fs.cp = async (from, to, options) => {
  if (!inside(to)) return originals.cp(from, to, options)
  if (!lstatSync(from).isDirectory()) return fs.copyFile(from, to)
  await fs.mkdir(to, { recursive: true })
  for (const name of readdirSync(from)) await fs.cp(join(from, name), join(to, name), options)
}

const watchHandles = async () => {
  const handle = await originals.open(process.execPath)
  const prototype = Object.getPrototypeOf(handle)
  await handle.close()
  const { write, appendFile, writeFile, truncate, sync, datasync } = prototype
  const written = (known, bytes, position) => {
    const at = known.append ? -1 : (position ?? known.at)
    note('write', known.id, at, bytes.toString('base64'))
    if (position === null || position === undefined) known.at += bytes.length
  }
  prototype.write = async function (data, offset, length, position) {
    const known = handles.get(this)
    if (!known) return write.call(this, data, offset, length, position)
    if (typeof data === 'string') throw new Error('the log of the disk knows no write of a text')
    const from = typeof offset === 'object' ? (offset?.offset ?? 0) : (offset ?? 0)
    const size = (typeof offset === 'object' ? offset?.length : length) ?? data.byteLength - from
    const place = typeof offset === 'object' ? offset?.position : position
    const bytes = Buffer.from(bytesOf(data).subarray(from, from + size))
    const result = await write.call(this, data, offset, length, position)
    written(known, bytes.subarray(0, result.bytesWritten), place)
    return result
  }
  for (const [name, original] of Object.entries({ appendFile, writeFile }))
    prototype[name] = async function (data, options) {
      const known = handles.get(this)
      const encoding = typeof options === 'string' ? options : options?.encoding
      const bytes = known && Buffer.from(bytesOf(data, encoding ?? 'utf8'))
      await original.call(this, data, options)
      if (known) written(known, bytes)
    }
  prototype.truncate = async function (length = 0) {
    await truncate.call(this, length)
    const known = handles.get(this)
    if (known) note('truncate', known.id, length)
  }
  for (const [name, original] of Object.entries({ sync, datasync }))
    prototype[name] = async function () {
      await original.call(this)
      const known = handles.get(this)
      if (known) note('sync', known.id)
    }
}

if (isMainThread && plan.log) {
  await watchHandles()
  syncBuiltinESMExports()
  process.on('exit', () => writeFileSync(plan.log, lines.map((line) => `${line}\n`).join('')))
}
