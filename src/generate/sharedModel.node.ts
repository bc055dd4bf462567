/** A model that workers open as this process did: its files, and how its weights are kept. */
import { basename, relative } from 'node:path'
import { filesOf } from '../checkpoint/folder.node.ts'
import type { Compute } from '../passes/int8.ts'
import type { Model } from '../passes/model.ts'
import type { OpenedModel, OpenModelOptions } from '../passes/open.node.ts'
import type { Quantize } from '../passes/quantize.ts'
import { pack } from '../util/packed.ts'
import type { Sharing } from '../util/sharing.ts'
import { sharePasses } from './sharedPasses.ts'
import { type ShareSampling, shareSampling } from './sharedSampling.ts'

/** Files by their names in the folder of a model, and of its adapter where it has one: SHA-256 of each. */
export type PublishedFolders = {
  base: Readonly<Record<string, string>>
  adapter?: Readonly<Record<string, string>>
}

/** What a worker opens the model by. */
export type SharedModel = PublishedFolders & {
  open: { quantize: Quantize; compute: Compute; head?: OpenModelOptions['head'] }
}

/**
 * @param paths every file of both folders that results depend on
 * @returns their names, and all hashes
 */
export const publishFolders = async (
  sharing: Sharing,
  { dir, adapterDir }: { dir: string; adapterDir?: string },
  paths: readonly string[],
): Promise<{ folders: PublishedFolders; hashes: string[] }> => {
  const [base, adapter]: Record<string, string>[] = [{}, {}]
  for (const path of paths) {
    const isOfAdapter = adapterDir !== undefined && !relative(adapterDir, path).startsWith('..')
    // A GGUF file is its own folder
    const name = relative(isOfAdapter ? adapterDir : dir, path) || basename(path)
    const names = isOfAdapter ? adapter : base
    names[name] = await sharing.publish({ path })
  }
  const folders = { base, ...(adapterDir !== undefined && { adapter }) }
  return { folders, hashes: [...Object.values(base), ...Object.values(adapter)] }
}

/**
 * Has workers compute with a model that does not change.
 * @param open as it was opened
 * @returns who completes prompts, and the model with its forward passes shared
 */
export const shareModel = (
  { model, dir, adapterDir, files: weights }: Pick<OpenedModel, 'model' | 'dir' | 'adapterDir' | 'files'>,
  open: SharedModel['open'],
  sharing: Sharing,
): { sampling: ShareSampling; model: Model } => {
  const publish = async () => {
    const paths = await filesOf({ dir, adapter: adapterDir }, weights)
    const { folders, hashes } = await publishFolders(sharing, { dir, adapterDir }, [...new Set(paths)])
    const model = await sharing.publish(pack({ ...folders, open } satisfies SharedModel))
    return { of: { model }, files: [model, ...hashes] }
  }
  let published: ReturnType<typeof publish> | undefined
  const moment = () => {
    published ??= publish()
    return published
  }
  return { sampling: shareSampling(sharing, moment), model: { ...model, shared: sharePasses(sharing, moment) } }
}
