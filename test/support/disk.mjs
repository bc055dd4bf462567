/**
 * A disk that fails on demand, as a preload: node --import ./disk.mjs, with ATTUNE_DISK saying how. Peculiar: it counts
 * what changes the disk (writes, syncs, renames, ...) in the order the program asks for it, so that a test can cut a run
 * off at each of them in turn.
 *   {"count": FILE}                        at the end, writes down how many there were
 *   {"kill": N, "torn": true}              SIGKILL instead of the Nth; torn: after half of what it writes
 *   {"fail": "ENOSPC", "at": N}            the Nth and all later ones fail
 *   {"fail": "ENOSPC", "path": "step-4"}   those fail whose path holds this
 *   {"free": BYTES}                        so much room there is said to be
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

/** The arguments of a handle's `write`, of its `appendFile`, or of fs.appendFile(path, data), for half of the data. */
const half = (name, args) => {
  if (name === 'write') {
    const [data, offset = 0, length = data.length - offset] = args
    return [data, offset, length >> 1]
  }
  const data = args.pop()
  return [...args, data.slice(0, data.length >> 1)]
}

/** Counts an operation, and does with it what the plan says. */
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
  // A full disk lets files go
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
