/** Opens a model with its adapter merged into the weights, by the names that the command line takes. */
import { loadAdapted, loadPretrained } from '../models/load.node.ts'
import { type Base, mergeAdapter } from '../models/merge.ts'
import { resolveModel } from '../models/resolve.node.ts'

export type MergedModel = Base & {
  /** The folder of the base model, where its tokenizer is. */
  dir: string
  adapterDir?: string
  generationConfig?: object
}

/** @param model a folder, a hub id or a run @param adapter the same; by default the adapter of the run, if it has one */
export const openMerged = async (model: string, adapter?: string): Promise<MergedModel> => {
  const { dir, adapter: adapterDir } = await resolveModel({ model, adapter })
  const { generationConfig, ...base } = await loadPretrained(dir)
  if (adapterDir === undefined) return { ...base, dir, generationConfig }
  const adapted = await loadAdapted(adapterDir, base)
  return { ...mergeAdapter(adapted.base, adapted.adapter), dir, adapterDir, generationConfig }
}
