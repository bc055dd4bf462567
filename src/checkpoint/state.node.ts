/**
 * Checkpoints of a training run that survive a crash at any moment. `checkpoints/step-N/` holds the caller's files,
 * `state.json`, and `manifest.json` with the size and SHA-256 of each. Everything is written and synced in
 * `step-N.tmp`, which is renamed last, and read back before an older checkpoint is removed. A torn or altered
 * checkpoint is named and skipped, never loaded.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { ByteSource } from '../util/bytes.ts'
import { assert, badInput, Fault } from '../util/fault.ts'
import { diskFault, fileSource, makeFolders, syncFolder, writeSynced } from '../util/files.node.ts'
import { sha256File } from '../util/sha256.node.ts'
import { requireSpace } from './space.node.ts'

export type StateFile = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

export type State = {
  step: number
  path: string
  json: unknown
  /** One of the files that were given to `writeState`. */
  file(name: string): Promise<ByteSource>
}

export type WriteOptions = {
  /** How many of the newest checkpoints are kept, this one included. */
  keep: number
  /** Steps that are kept whatever their age, such as the best one. */
  protect?: readonly number[]
  /** The expected size: compared with the free space first, and named when the disk is full. */
  bytes?: number
}

const fileName = z.string().regex(/^\w[\w.-]*$/)
const fileFacts = z.object({ size: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })
const manifestSchema = z.object({
  format: z.literal(1),
  step: z.number().int().nonnegative(),
  files: z.record(fileName, fileFacts).refine((files) => Object.hasOwn(files, 'state.json')),
})
type Manifest = z.infer<typeof manifestSchema>

/**
 * Writes `dir/step-N` and returns its path. Each file is hashed as it is written, one pass. Afterwards only the `keep`
 * newest complete checkpoints up to this step and the protected ones remain; later steps are not touched.
 * Throws a Fault 'disk' (path, bytes) on ENOSPC, EIO, EACCES and the like; earlier checkpoints can still be loaded.
 */
export const writeState = async (
  dir: string,
  step: number,
  { files, json }: { files: Record<string, StateFile>; json: unknown },
  { keep, protect = [], bytes = 0 }: WriteOptions,
): Promise<string> => {
  assert(!Object.hasOwn(files, 'state.json') && !Object.hasOwn(files, 'manifest.json'), 'a state file has a taken name')
  const path = join(dir, `step-${step}`)
  const temporary = `${path}.tmp`
  const all = { ...files, 'state.json': [encode(json)] }
  const manifest: Manifest = { format: 1, step, files: {} }
  try {
    await makeFolders(dir)
    await removeLeftovers(dir)
    await requireSpace(dir, bytes)
    await mkdir(temporary)
    for (const [name, chunks] of Object.entries(all)) await writeHashed(temporary, name, chunks, manifest)
    await writeSynced(join(temporary, 'manifest.json'), [encode(manifest)])
    await syncFolder(temporary)
    await putInPlace(temporary, path, dir)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {})
    throw diskFault(error, path, Math.max(bytes, written(manifest)))
  }
  await readState(path)
  await rotate(dir, step, keep, protect)
  return path
}

const encode = (json: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(json)}\n`)

const written = (manifest: Manifest) => Object.values(manifest.files).reduce((sum, { size }) => sum + size, 0)

const writeHashed = async (folder: string, name: string, chunks: StateFile, manifest: Manifest) => {
  assert(fileName.safeParse(name).success, `a state file cannot be called ${name}`)
  const hash = createHash('sha256')
  manifest.files[name] = { size: 0, sha256: '' }
  const hashed = async function* () {
    for await (const chunk of chunks) {
      hash.update(chunk)
      manifest.files[name].size += chunk.length
      yield chunk
    }
  }
  await writeSynced(join(folder, name), hashed())
  manifest.files[name].sha256 = hash.digest('hex')
}

/**
 * A folder cannot replace another atomically: an old one of the same step is kept as `.old` until the new one is in
 * place.
 */
const putInPlace = async (temporary: string, path: string, dir: string) => {
  const old = `${path}.old`
  await rename(path, old).catch(ignoreMissing)
  await rename(temporary, path)
  await syncFolder(dir)
  await rm(old, { recursive: true, force: true })
}

const ignoreMissing = (error: NodeJS.ErrnoException) => {
  if (error.code !== 'ENOENT') throw error
}

/** Removes what a killed process left: half a checkpoint, or the old copy of one that is in place. */
const removeLeftovers = async (dir: string) => {
  const names = await readdir(dir)
  const left = names.filter(
    (name) => /^step-\d+\.tmp$/.test(name) || (/^step-\d+\.old$/.test(name) && names.includes(name.slice(0, -4))),
  )
  for (const name of left) await rm(join(dir, name), { recursive: true, force: true })
}

const rotate = async (dir: string, step: number, keep: number, protect: readonly number[]) => {
  const older = (await candidates(dir)).filter((candidate) => candidate.step < step)
  let kept = 1
  for (const { path, step: other } of older) {
    if (kept < keep && (await hasAllFiles(path))) kept++
    else if (!protect.includes(other)) await rm(path, { recursive: true, force: true })
  }
}

/** A quick check without hashes, so that a torn checkpoint does not count as one of those that are kept. */
const hasAllFiles = async (path: string): Promise<boolean> => {
  const sized = async (manifest: Manifest) => {
    for (const [name, { size }] of Object.entries(manifest.files))
      if ((await stat(join(path, name))).size !== size) return false
    return true
  }
  return readManifest(path)
    .then(sized)
    .catch(() => false)
}

const candidates = async (dir: string): Promise<{ path: string; step: number }[]> => {
  const names = await readdir(dir).catch(() => [])
  const found = names.flatMap((name) => {
    const step = /^step-(\d+)(\.old)?$/.exec(name)?.[1]
    return step === undefined ? [] : [{ path: join(dir, name), step: Number(step) }]
  })
  return found.sort((a, b) => b.step - a.step || a.path.length - b.path.length)
}

const readManifest = async (path: string): Promise<Manifest> =>
  manifestSchema.parse(JSON.parse(await readFile(join(path, 'manifest.json'), 'utf8')))

/** Checks every file against the manifest. Throws a Fault 'bad-checkpoint' that names the checkpoint and the file. */
export const readState = async (path: string): Promise<State> => {
  const manifest = await readManifest(path).catch(() => {
    throw damaged(path, 'manifest.json is missing or damaged')
  })
  for (const [name, { size, sha256 }] of Object.entries(manifest.files)) {
    const info = await stat(join(path, name)).catch(() => undefined)
    if (!info) throw damaged(path, `${name} is missing`)
    if (info.size !== size) throw damaged(path, `${name} has ${info.size} bytes instead of ${size}`)
    const found = await sha256File(join(path, name)).catch((error) => error.code)
    if (found !== sha256) throw damaged(path, `${name} is not what was written (its SHA-256 differs)`)
  }
  const json: unknown = JSON.parse(await readFile(join(path, 'state.json'), 'utf8'))
  const file = async (name: string) => {
    if (!Object.hasOwn(manifest.files, name)) throw damaged(path, `${name} is not part of it`)
    return fileSource(join(path, name))
  }
  return { step: manifest.step, path, json, file }
}

const damaged = (path: string, what: string) =>
  badInput('bad-checkpoint', `${what}; this checkpoint cannot be used, take an earlier one`, { file: path })

/** The newest complete checkpoint, if any, and a warning for each newer one that is damaged. */
export const newestState = async (dir: string): Promise<{ state?: State; warnings: string[] }> => {
  const warnings: string[] = []
  for (const { path } of await candidates(dir)) {
    try {
      return { state: await readState(path), warnings }
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      warnings.push(error.message)
    }
  }
  return { warnings }
}
