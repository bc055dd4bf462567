/**
 * A repository of the Hugging Face hub at one commit, in the cache that the Python library huggingface_hub also uses:
 * `<cache>/models--owner--name/{blobs/<hash>, snapshots/<commit>/<path>, refs/<revision>}`. Without a network, or with
 * HF_HUB_OFFLINE=1, only what is in the cache is used. HF_ENDPOINT, HF_HUB_CACHE and HF_HOME set the endpoint and the
 * cache.
 */
import { constants, copyFile, mkdir, readdir, readFile, rm, stat, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import {
  datasetInfo,
  getHFHubCachePath,
  getRepoFolderName,
  HUB_URL,
  HubApiError,
  InvalidApiResponseFormatError,
  listFiles,
  modelInfo,
} from '@huggingface/hub'
import { z } from 'zod'
import { badInput, Fault, runFailure } from '../util/fault.ts'
import { diskFault, writeWhole } from '../util/files.node.ts'
import { quoted, visible } from '../util/quote.ts'
import { credentials, downloadBlob, type HubAccess, type HubFile } from './hubDownload.node.ts'
import { checkedEndpoint, checkedToken, hubFetch } from './hubFetch.node.ts'
import { requireSpace } from './space.node.ts'

export type Progress = {
  /** The file that is being fetched. */
  file: string
  /** Bytes of all wanted files that are there. */
  bytes: number
  /** Bytes of all wanted files. */
  total: number
}
export type OnProgress = (progress: Progress) => void

export type RepoName = { type: 'model' | 'dataset'; name: string; revision: string }

export type Repo = {
  /** The snapshot: a folder with the repository's paths. */
  dir: string
  /** Paths of the repository's files; offline, only those in the cache. */
  paths: string[]
  /** Fetches what is not in the cache yet; returns where the files are. */
  get(paths: readonly string[], onProgress?: OnProgress): Promise<string[]>
  /** To be called when all wanted files are there: offline, the revision then means this commit. */
  keep(): Promise<void>
}

/** owner/name or owner/name@revision, else undefined. */
export const parseRepoId = (type: RepoName['type'], id: string): RepoName | undefined => {
  const [, name, revision = 'main'] = /^(\w[\w.-]*\/\w[\w.-]*)(?:@(\w[\w./-]*))?$/.exec(id) ?? []
  return name && !/--|\.\./.test(id) ? { type, name, revision } : undefined
}

/** Throws Faults: no-repo (404), hub-access (401, 403), offline, hub (any other answer), bad-token. */
export const openRepo = async (repo: RepoName): Promise<Repo> => {
  if (process.env.HF_HUB_OFFLINE === '1') return cachedRepo(repo, 'HF_HUB_OFFLINE is set')
  const access = await hubAccess()
  try {
    const commit = await commitOf(repo, access)
    return onlineRepo(repo, access, commit, await filesOf(repo, access, commit))
  } catch (error) {
    // the library throws a TypeError for an answer that no hub gives
    const strange = error instanceof TypeError && error.cause === undefined
    const fault = strange ? notAHub(error.message, repo.name) : hubFault(error, repo)
    if (fault instanceof Fault && fault.code === 'offline')
      return cachedRepo(repo, fault.message.replace(`${fault.where.file}: `, ''))
    throw fault
  }
}

const endpoint = () => checkedEndpoint(process.env.HF_ENDPOINT || HUB_URL)

/** Endpoint, token and fetch. Throws Faults 'bad-endpoint' and 'bad-token' for values that cannot be one. */
export const hubAccess = async (): Promise<HubAccess> => {
  const hubUrl = endpoint()
  return { hubUrl, accessToken: await token(), fetch: hubFetch(hubUrl) }
}

const storageOf = ({ type, name }: RepoName) => join(getHFHubCachePath(), getRepoFolderName({ type, name }))

/** The repository that a path in the cache belongs to: owner/name. */
export const repoOfPath = (path: string): string | undefined => {
  const [, owner, name] = /(?:models|datasets)--([\w.-]+)--([\w.-]+)[\\/]snapshots(?:[\\/]|$)/.exec(path) ?? []
  return owner && `${owner}/${name}`
}

// ---- asking the hub --------------------------------------------------------------------------------------------------

const token = async (): Promise<string | undefined> => {
  const home = process.env.HF_HOME ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface')
  const path = process.env.HF_TOKEN_PATH ?? join(home, 'token')
  const found = (process.env.HF_TOKEN || (await readFile(path, 'utf8').catch(() => ''))).trim()
  return found ? checkedToken(found) : undefined
}

const commitOf = async ({ type, name, revision }: RepoName, access: HubAccess): Promise<string> => {
  const params = { name, revision, ...credentials(access) }
  const { sha } =
    type === 'model'
      ? await modelInfo({ ...params, additionalFields: ['sha'] })
      : await datasetInfo({ ...params, additionalFields: ['sha'] })
  if (!/^[0-9a-f]{40}$/.test(sha)) throw runFailure('hub', 'the hub names no commit', { file: name })
  return sha
}

/** Limits of a listing, which has a thousand files a page. */
const pages = 1000
const listingTime = 120_000
const mostFiles = 300_000
const longestPath = 1024

const listedFile = z.object({
  type: z.string(),
  path: z.string(),
  size: z.number().int().nonnegative(),
  oid: z.string().nullish(),
  lfs: z.object({ oid: z.string(), size: z.number().int().nonnegative() }).nullish(),
})

/**
 * The files of a repository. Paths and hashes become paths in the cache, so entries that could leave it are dropped,
 * and entries of another form are refused.
 */
const filesOf = async (repo: RepoName, access: HubAccess, revision: string): Promise<HubFile[]> => {
  const { type, name } = repo
  const until = performance.now() + listingTime
  let asked = 0
  const fetch: typeof globalThis.fetch = (input, init) => {
    if (++asked > pages || performance.now() > until) throw endless(name)
    return access.fetch(input, init)
  }
  const files: HubFile[] = []
  const listing = { repo: { type, name }, recursive: true, revision, ...credentials({ ...access, fetch }) }
  for await (const entry of listFiles(listing)) {
    const read = listedFile.safeParse(entry)
    if (!read.success) throw notAHub(quoted(entry), name)
    if (files.length === mostFiles) throw endless(name)
    const { path, size, lfs, oid } = read.data
    const hash = lfs?.oid ?? oid ?? ''
    const sound =
      /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash) &&
      path.length <= longestPath &&
      path.split('/').every((part) => /^[^\\:]{1,255}$/.test(part) && !/^\.\.?$/.test(part) && visible(part) === part)
    if (entry.type === 'file' && sound) files.push({ path, size: lfs?.size ?? size, hash })
  }
  return files
}

const endless = (name: string) => runFailure('hub', `the list of files of ${endpoint()} does not end`, { file: name })

const notAHub = (what: string, name: string) =>
  runFailure('hub', `the answer of ${endpoint()} is not a hub's (${what})`, { file: name })

/** A Fault for an error of the hub or the network; any other error is returned unchanged. */
export const hubFault = (error: unknown, { type, name, revision }: RepoName): unknown => {
  const where = { file: revision === 'main' ? name : `${name}@${revision}` }
  const status = error instanceof HubApiError ? error.statusCode : undefined
  // without a token the hub also answers 401 for what does not exist
  if (status === 401 || status === 403)
    return badInput(
      'hub-access',
      `the hub gives no access (${status}): it does not exist, or is private or gated; check the name, accept its terms at ${endpoint()}/${type === 'model' ? '' : 'datasets/'}${name} and set HF_TOKEN`,
      where,
    )
  if (status === 404) return badInput('no-repo', `the hub has no such ${type} or revision`, where)
  if (status !== undefined) return runFailure('hub', `the hub answers ${status}; try again later`, where)
  if (error instanceof SyntaxError || error instanceof InvalidApiResponseFormatError)
    return notAHub(error.message, where.file)
  const cause = error instanceof TypeError && error.cause instanceof Error ? error.cause : undefined
  if (!cause) return error
  const why = (cause as NodeJS.ErrnoException).code ?? cause.message
  return runFailure('offline', `the hub at ${endpoint()} cannot be reached (${why})`, where)
}

// ---- the cache -------------------------------------------------------------------------------------------------------

const onlineRepo = (repo: RepoName, access: HubAccess, commit: string, files: HubFile[]): Repo => {
  const storage = storageOf(repo)
  const dir = join(storage, 'snapshots', commit)
  const get = async (paths: readonly string[], onProgress?: OnProgress) => {
    const wanted = files.filter(({ path }) => paths.includes(path))
    try {
      await fetchAll({ repo, access, commit, storage, dir }, wanted, onProgress)
    } catch (error) {
      throw hubFault(diskFault(error, storage), repo)
    }
    return paths.map((path) => join(dir, path))
  }
  const keep = async () => {
    if (repo.revision !== commit) await writeRef(join(storage, 'refs', repo.revision), commit)
  }
  return { dir, paths: files.map(({ path }) => path), get, keep }
}

const writeRef = async (path: string, commit: string) => {
  await mkdir(dirname(path), { recursive: true })
  await writeWhole(path, [new TextEncoder().encode(commit)])
}

type Fetching = { repo: RepoName; access: HubAccess; commit: string; storage: string; dir: string }

/** Fetches small files first, so that a problem with a model shows before its weights are fetched. */
const fetchAll = async (fetching: Fetching, files: HubFile[], onProgress: OnProgress = () => {}) => {
  const total = files.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  await mkdir(join(fetching.storage, 'blobs'), { recursive: true })
  await requireSpace(fetching.storage, await missingBytes(fetching, files))
  for (const file of files.toSorted((a, b) => a.size - b.size)) {
    await fetchOne(fetching, file, (bytes) => onProgress({ file: file.path, bytes: done + bytes, total }))
    done += file.size
    onProgress({ file: file.path, bytes: done, total })
  }
}

const missingBytes = async ({ storage }: Fetching, files: HubFile[]): Promise<number> => {
  let missing = 0
  for (const { hash, size } of files) {
    const blob = join(storage, 'blobs', hash)
    const there = (await stat(blob).catch(() => undefined)) ?? (await stat(`${blob}.incomplete`).catch(() => undefined))
    missing += Math.max(0, size - (there?.size ?? 0))
  }
  return missing
}

const fetchOne = async (
  { repo, access, commit, storage, dir }: Fetching,
  file: HubFile,
  onBytes: (n: number) => void,
) => {
  const pointer = join(dir, file.path)
  if (await stat(pointer).catch(() => undefined)) return
  const blob = join(storage, 'blobs', file.hash)
  if (!(await stat(blob).catch(() => undefined)))
    await downloadBlob(access, { repo, revision: commit }, file, blob, onBytes)
  await mkdir(dirname(pointer), { recursive: true })
  await rm(pointer, { force: true })
  // on Windows few users may make links; the file is copied there, as huggingface_hub does
  await symlink(relative(dirname(pointer), blob), pointer).catch(() => copyFile(blob, pointer, constants.COPYFILE_EXCL))
}

const cachedRepo = async (repo: RepoName, why: string): Promise<Repo> => {
  const storage = storageOf(repo)
  const ref = await readFile(join(storage, 'refs', repo.revision), 'utf8').catch(() => repo.revision)
  const dir = join(storage, 'snapshots', ref.trim())
  const entries = await readdir(dir, { recursive: true }).catch(() => {
    const id = repo.revision === 'main' ? repo.name : `${repo.name}@${repo.revision}`
    throw runFailure(
      'offline',
      `is no folder here and, as a hub id, not in the cache ${getHFHubCachePath()}, and ${why}`,
      { file: id },
    )
  })
  const paths: string[] = []
  for (const entry of entries)
    if ((await stat(join(dir, entry)).catch(() => undefined))?.isFile()) paths.push(entry.split(sep).join('/'))
  return { dir, paths, get: async (wanted) => wanted.map((path) => join(dir, path)), keep: async () => {} }
}
