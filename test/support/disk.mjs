/**
 * A disk that fails on demand, as a preload: node --import ./disk.mjs, with ATTUNE_DISK as below.
 * Operations that change the disk (writes, syncs, renames, ...) are counted in the order of the program, so that a test can stop a
 * run at each of them in turn.
 *   {"count": FILE}                        writes the number of operations to FILE at the end
 *   {"kill": N, "torn": true}              SIGKILL in place of operation N; torn: after half of its data
 *   {"fail": "ENOSPC", "at": N}            operation N and all later ones fail
 *   {"fail": "ENOSPC", "path": "step-4"}   operations whose path contains this fail
 *   {"free": BYTES}                        the free space that is reported
 */
import { writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const plan = JSON.parse(process.env.ATTUNE_DISK ?? '{}')
const paths = new WeakMap()
let count = 0

const failure = (name, path) =>
  Object.assign(new Error(`${plan.fail}: ${name} '${path}'`), { code: plan.fail, syscall: name, path })

const never = new Promise(() => {})

/** The arguments of write, appendFile or fs.appendFile(path, data) with half of the data. */
const half = (name, args) => {
  if (name === 'write') {
    const [data, offset = 0, length = data.length - offset] = args
    return [data, offset, length >> 1]
  }
  const data = args.pop()
  return [...args, data.slice(0, data.length >> 1)]
}

/** Counts an operation, and lets it succeed, fail or kill the process as planned. */
const watched = (name, pathOf, original) =>
  async function (...args) {
    const path = String(pathOf(this, args))
    count++
    if (count === plan.kill) {
      if (plan.torn && (name === 'write' || name === 'appendFile')) await original.apply(this, half(name, args))
      process.kill(process.pid, 'SIGKILL')
      await never
    }
    if (plan.fail && (plan.path ? path.includes(plan.path) : count >= plan.at)) throw failure(name, path)
    return original.apply(this, args)
  }

const watchFolders = () => {
  const first = (_, [path]) => path
  for (const name of ['rename', 'mkdir', 'link', 'writeFile', 'appendFile']) fs[name] = watched(name, first, fs[name])
  // Files can be removed from a full disk
  for (const name of ['rm', 'rmdir']) {
    const original = fs[name]
    const counted = watched(name, first, original)
    fs[name] = plan.fail ? original : counted
  }
  if (plan.free !== undefined) fs.statfs = async () => ({ bavail: plan.free, bsize: 1 })
  const { open } = fs
  const openWatched = watched('open', first, open)
  fs.open = async (path, flags, mode) => {
    const handle = await (flags && flags !== 'r' ? openWatched(path, flags, mode) : open(path, flags, mode))
    paths.set(handle, path)
    return handle
  }
  return open
}

const watchHandles = async (open) => {
  const handle = await open(import.meta.filename ?? process.execPath)
  const prototype = Object.getPrototypeOf(handle)
  await handle.close()
  for (const name of ['write', 'sync', 'datasync', 'truncate', 'appendFile'])
    prototype[name] = watched(name, (self) => paths.get(self) ?? '', prototype[name])
}

if (isMainThread && process.env.ATTUNE_DISK) {
  await watchHandles(watchFolders())
  syncBuiltinESMExports()
  if (plan.count) process.on('exit', () => writeFileSync(plan.count, String(count)))
}
