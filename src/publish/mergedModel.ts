/** Opens a model with its adapter merged into the weights, by the names that the command line takes. */
import { resolveHubModel } from '../checkpoint/hub.node.ts'
import { loadAdapted, loadPretrained } from '../models/load.node.ts'
import { type Base, mergeAdapter } from '../models/merge.ts'
import { modelOfRun } from '../runs/find.node.ts'

export type MergedModel = Base & {
  /** The folder of the base model, where its tokenizer is. */
  dir: string
  adapterDir?: string
  generationConfig?: object
}

/** @param model a folder, a hub id or a run @param adapter the same; by default the adapter of the run, if it has one */
export const openMerged = async (model: string, adapter?: string): Promise<MergedModel> => {
  const run = await modelOfRun(model)
  const adapterName = adapter ?? run?.adapter
  const dir = await resolveHubModel(run?.model ?? model)
  const { generationConfig, ...base } = await loadPretrained(dir)
  if (adapterName === undefined) return { ...base, dir, generationConfig }
  const adapterDir = (await modelOfRun(adapterName))?.adapter ?? (await resolveHubModel(adapterName))
  const adapted = await loadAdapted(adapterDir, base)
  return { ...mergeAdapter(adapted.base, adapted.adapter), dir, adapterDir, generationConfig }
}
