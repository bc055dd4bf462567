/**
 * A cache of completions on disk, so that none is paid for twice: one file each, named by the hash of its request, and
 * found again by a later run, by another process, or after a kill. A damaged file counts as
 * missing.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { openContentFiles } from '../store/content.node.ts'
import { cacheFolder } from '../util/cacheFolder.node.ts'
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
  tops: z.array(z.array(z.object({ token: z.string(), logp: z.number() }))).optional(),
})

/**
 * @param url of the endpoint; each has completions of its own
 * Throws a Fault 'disk' where nothing can be stored, before anything is paid.
 */
export const openCompletionCache = async (
  url: string,
  folder = join(cacheFolder(), 'answers'),
): Promise<CompletionCache> => {
  const files = await openContentFiles(folder, completionSchema)
  const keyOf = ({ method, body, nth }: CompletionRequest) => [url, method, body, nth]
  return {
    find: (request) => files.find(keyOf(request)),
    add: (request, completion) => files.add(keyOf(request), completion),
  }
}
