/** A model with its adapter merged in, from names as the command line takes them. */
import { resolveHubModel } from '../checkpoint/hub.node.ts'
import { loadAdapted, loadPretrained } from '../models/load.node.ts'
import { type Base, mergeAdapter } from '../models/merge.ts'
import { modelOfRun } from '../runs/find.node.ts'

export type Merged = Base & {
  /** Of the base, where its tokenizer is. */
  dir: string
  adapterDir?: string
  generationConfig?: object
}

/** @param model, @param adapter folders, hub ids or runs; without an adapter that of the run, if any */
export const openMerged = async (model: string, adapter?: string): Promise<Merged> => {
  const run = await modelOfRun(model)
  const adapterName = adapter ?? run?.adapter
  const dir = await resolveHubModel(run?.model ?? model)
  const { generationConfig, ...base } = await loadPretrained(dir)
  if (adapterName === undefined) return { ...base, dir, generationConfig }
  const adapterDir = (await modelOfRun(adapterName))?.adapter ?? (await resolveHubModel(adapterName))
  const adapted = await loadAdapted(adapterDir, base)
  return { ...mergeAdapter(adapted.base, adapted.adapter), dir, adapterDir, generationConfig }
}
