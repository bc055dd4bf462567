/**
 * A cache of completions on disk, so that none is paid for twice: one file each, named by the hash of its request, and
 * found again by a later run, by another process, or after a kill. A file appears whole or not at all; a damaged file
 * counts as missing.
 */
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { cacheFolder } from '../util/cacheFolder.node.ts'
import { badInput } from '../util/fault.ts'
import { diskFault, makeFolders, writeWhole } from '../util/files.node.ts'
import { readSealed, sealedFile } from '../util/sealed.node.ts'
import type { CompletionRequest, EndpointCompletion } from './client.ts'

export type CompletionCache = {
  find(request: CompletionRequest): Promise<EndpointCompletion | undefined>
  /** Throws Faults 'disk'. */
  add(request: CompletionRequest, completion: EndpointCompletion): Promise<void>
}

const completionSchema = z.object({
  text: z.string(),
  finishReason: z.string(),
  usage: z.object({ promptTokens: z.number(), completionTokens: z.number() }).optional(),
})

/**
 * @param url of the endpoint; each has completions of its own
 * Throws a Fault 'disk' where nothing can be stored, before anything is paid.
 */
export const openCompletionCache = async (
  url: string,
  folder = join(cacheFolder(), 'answers'),
): Promise<CompletionCache> => {
  await makeFolders(folder).catch((error) => {
    throw badInput('disk', `cannot be made (${error.code}); set ATTUNE_CACHE to a folder that can be written`, {
      file: folder,
    })
  })
  const pathOf = ({ method, body, nth }: CompletionRequest) => {
    const name = createHash('sha256')
      .update(JSON.stringify([url, method, body, nth]))
      .digest('hex')
    return join(folder, name.slice(0, 2), `${name}.json`)
  }
  return {
    find: async (request) => completionSchema.safeParse(await readSealed(pathOf(request))).data,
    async add(request, completion) {
      const path = pathOf(request)
      await makeFolders(dirname(path)).catch((error) => {
        throw diskFault(error, path)
      })
      await writeWhole(path, sealedFile(path, completion))
    },
  }
}
