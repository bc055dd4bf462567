/** The exchange in a folder that all machines see: RUN/content/HASH and RUN/results/SHARD, each written whole. */
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { badInput, runFailure } from '../util/fault.ts'
import { writeWhole } from '../util/files.node.ts'
import type { Exchange, ExchangeClient } from './exchange.ts'
import { checked, isGone, writeChecked } from './fetching.ts'

const contentPath = (dir: string, hash: string) => join(dir, 'content', hash)
const resultPath = (dir: string, shard: string) => join(dir, 'results', shard)

/** @param run its own part of the folder, which is removed at the end; what a killed run leaves there may be deleted */
export const folderExchange = async (parent: string, run: string): Promise<Exchange> => {
  const dir = join(parent, run)
  try {
    for (const name of ['content', 'results']) await mkdir(join(dir, name), { recursive: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw badInput('bad-flag', `${parent} cannot be written (${code}); name a folder that all machines see`, {
      flag: '--workers-files',
    })
  }
  return {
    address: dir,
    lookEvery: 100,
    bytes: { sent: 0, received: 0 },
    offer: (hash, content) =>
      writeWhole(
        contentPath(dir, hash),
        content instanceof Uint8Array ? [content] : createReadStream(content.path, { highWaterMark: 1 << 20 }),
      ),
    withdraw: (hash) => rm(contentPath(dir, hash), { force: true }),
    await: () => {},
    result: (shard) => readFile(resultPath(dir, shard)).catch(() => undefined),
    async forget(shards) {
      for (const shard of shards) await rm(resultPath(dir, shard), { force: true })
    },
    onResult: () => {},
    close: () => rm(dir, { recursive: true, force: true }),
  }
}

export const folderClient = (dir: string): ExchangeClient => ({
  async fetch(hash, path) {
    requireFolder(dir)
    if (!existsSync(contentPath(dir, hash))) throw isGone(hash)
    await writeChecked(createReadStream(contentPath(dir, hash)), hash, path)
  },
  async read(hash) {
    requireFolder(dir)
    if (!existsSync(contentPath(dir, hash))) throw isGone(hash)
    return checked(await readFile(contentPath(dir, hash)), hash)
  },
  async send(shard, sealed) {
    // The run has ended, or has the result already
    if (!existsSync(contentPath(dir, shard))) return false
    await writeWhole(resultPath(dir, shard), [sealed])
    return true
  },
})

const requireFolder = (dir: string) => {
  if (!existsSync(dirname(dir)))
    throw runFailure('exchange', `${dirname(dir)}, through which the run gives its files, is not there on this machine`)
}
