/**
 * Uploads files to a model repository of the Hugging Face hub, as one commit. Write access, and whether the repository
 * exists, are checked before the work begins whose result is uploaded. The library does the protocol (plain LFS; what
 * was uploaded before a failure is not sent again) but reports no bytes in Node, so they are counted here.
 */
import { stat } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { commitIter, createRepo, HubApiError, repoExists, whoAmI } from '@huggingface/hub'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { HubAccess } from './hubDownload.node.ts'
import { hubAccess, hubFault, parseRepoId } from './hubRepo.node.ts'

/** A repository that is written to, and the token for it. */
export type HubTarget = { name: string; access: HubAccess & { accessToken: string } }

const tokenAdvice = 'make one with write access at huggingface.co/settings/tokens'

/** Checks name and token without asking the hub. Throws Faults 'bad-flag', 'bad-token', 'offline', all bad input. */
export const hubTarget = async (id: string, flag: string): Promise<HubTarget> => {
  const { name, revision } = parseRepoId('model', id) ?? {}
  if (!name || revision !== 'main')
    throw badInput('bad-flag', `${quoted(id)} must be a repository, OWNER/NAME`, { flag })
  if (process.env.HF_HUB_OFFLINE === '1')
    throw badInput('offline', 'needs the hub, and HF_HUB_OFFLINE is set', { flag })
  const { accessToken, ...access } = await hubAccess()
  if (!accessToken)
    throw badInput('bad-token', `needs a token: set HF_TOKEN, or run \`hf auth login\`; ${tokenAdvice}`, { flag })
  return { name, access: { ...access, accessToken } }
}

/** Creates the repository, private, unless it exists. Throws Faults 'bad-token', 'hub-access', 'hub', 'offline'. */
export const prepareRepo = async ({ name, access }: HubTarget): Promise<void> => {
  try {
    const { auth } = await whoAmI(access)
    if (auth.accessToken?.role === 'read')
      throw badInput('bad-token', `the token of HF_TOKEN or \`hf auth login\` may only read; ${tokenAdvice}`)
    const repo = { type: 'model', name } as const
    if (await repoExists({ repo, ...access })) return
    await createRepo({ repo, ...access, visibility: 'private' }).catch((error) => {
      // created in the meantime, or one that may be written but not listed
      if (!(error instanceof HubApiError && error.statusCode === 409)) throw error
    })
  } catch (error) {
    throw uploadFault(error, name)
  }
}

/** A file on disk (its path) or its content, under its name in the repository. */
export type Upload = { path: string; content: string | Blob }

/** @returns the repository's page. Throws Faults 'hub-access', 'hub', 'offline'. */
export const uploadFiles = async (
  { name, access }: HubTarget,
  files: readonly Upload[],
  { title, signal, onBytes }: { title: string; signal: AbortSignal; onBytes(done: number, total: number): void },
): Promise<string> => {
  const total = (await Promise.all(files.map(({ content }) => sizeOf(content)))).reduce((a, b) => a + b, 0)
  onBytes(0, total)
  const operations = files.map(({ path, content }) => ({
    operation: 'addOrUpdate' as const,
    path,
    content: typeof content === 'string' ? pathToFileURL(content) : content,
  }))
  const fetch = counting(access.fetch, (bytes) => onBytes(Math.min(bytes, total), total))
  const repo = { type: 'model', name } as const
  try {
    // the library listens to the signal, but does not check whether it has already been aborted
    signal.throwIfAborted()
    const commit = commitIter({ ...access, fetch, repo, operations, title, abortSignal: signal, useXet: false })
    while (!(await commit.next()).done) signal.throwIfAborted()
  } catch (error) {
    throw uploadFault(error, name)
  }
  onBytes(total, total)
  return `${access.hubUrl}/${name}`
}

const sizeOf = async (content: Upload['content']) =>
  typeof content === 'string' ? (await stat(content)).size : content.size

/** Counts the bytes that are read from request bodies; a body that is sent again counts once. */
const counting = (fetch: typeof globalThis.fetch, onBytes: (bytes: number) => void): typeof fetch => {
  const sent = new Map<Blob, number>()
  const add = (body: Blob, bytes: number) => {
    sent.set(body, bytes)
    onBytes([...sent.values()].reduce((a, b) => a + b, 0))
  }
  const watch = (body: Blob) => {
    const stream = body.stream.bind(body)
    body.stream = () => {
      add(body, 0)
      const transform = (
        chunk: Uint8Array<ArrayBuffer>,
        out: TransformStreamDefaultController<Uint8Array<ArrayBuffer>>,
      ) => {
        add(body, sent.get(body)! + chunk.length)
        out.enqueue(chunk)
      }
      return stream().pipeThrough(new TransformStream({ transform }))
    }
  }
  return (input, init) => {
    if (init?.body instanceof Blob && !sent.has(init.body)) watch(init.body)
    return fetch(input, init)
  }
}

const uploadFault = (error: unknown, name: string): unknown => {
  const fault = hubFault(error, { type: 'model', name, revision: 'main' })
  if (!(error instanceof HubApiError)) return fault
  const why = typeof error.data?.error === 'string' ? `${error.statusCode}: ${error.data.error}` : error.statusCode
  if (error.statusCode === 401 || error.statusCode === 403)
    return badInput('hub-access', `the hub does not let this token write there (${why}); ${tokenAdvice}`, {
      file: name,
    })
  return error.statusCode < 500 ? badInput('hub', `the hub refuses (${why})`, { file: name }) : fault
}
