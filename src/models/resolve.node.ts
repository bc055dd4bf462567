/** Where the model of a `--model` setting lies: a folder, a hub id or the result of a run. */
import { resolveHubModel } from '../checkpoint/hub.node.ts'
import { modelOfRun } from '../runs/find.node.ts'

/** The folder of a model, and that of its adapter where it has one. */
export type ModelFolders = { dir: string; adapter?: string }

/** The model's folder, and the adapter's where the name is a run's or a flag gives one. */
export const resolveModel = async (settings: { model: string; adapter?: string }): Promise<ModelFolders> => {
  const run = await modelOfRun(settings.model)
  return { dir: await resolveHubModel(run?.model ?? settings.model), adapter: settings.adapter ?? run?.adapter }
}
