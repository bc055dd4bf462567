/** Where a recipe's model lies, and how its texts become ids. */
import { resolveHubModel } from '../checkpoint/hub.node.ts'
import type { Encoder } from '../data/examples.ts'
import { modelOfRun } from '../runs/find.node.ts'
import { loadTokenizerFolder, withoutTokenizer } from '../text/tokenizer.node.ts'
import { badInput, Fault } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'

/** The folder of a model, and that of its adapter where it has one. */
export type ModelFolders = { dir: string; adapter?: string }

/** The model's folder, and the adapter's where the name is a run's or a flag gives one. */
export const resolveModel = async (settings: { model: string; adapter?: string }): Promise<ModelFolders> => {
  const run = await modelOfRun(settings.model)
  return { dir: await resolveHubModel(run?.model ?? settings.model), adapter: settings.adapter ?? run?.adapter }
}

/** The folder's tokenizer; without one, rows of ids still work. */
export const openEncoder = async (folders: ModelFolders): Promise<Encoder> =>
  (await loadTokenizerFolder(folders.dir, folders.adapter)) ?? idsOnly(folders.dir)

export const idsOnly = (dir: string): Encoder => ({
  eosId: undefined,
  addsEos: false,
  size: 0,
  encode: () => {
    throw badInput(
      'no-tokenizer',
      `holds text, and ${dir} ${withoutTokenizer(dir)}; give input_ids, or a model with a tokenizer`,
    )
  },
})

/** A row as another model reads it: its tokenizer's and template's Faults, with that model's name. */
export const readBy = <T>(name: string, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw new Fault(error.code, `${quoted(name)} cannot read it: ${error.message}`, {}, error.exitCode)
  }
}
