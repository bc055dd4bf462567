/** Loads model and adapter folders from disk. */
import { join } from 'node:path'
import { type Checkpoint, isAdapterFolder, isThere, openAdapter, openCheckpoint } from '../checkpoint/folder.node.ts'
import { jsonFile } from '../util/files.node.ts'
import { scoreWeight } from './architecture.ts'
import { joinCheckpoint, type Pretrained } from './load.ts'
import { openGgufCheckpoint } from './loadGguf.node.ts'
import { type Adapter, parseAdapter, withVocabulary } from './lora.ts'
import { adapterName } from './loraModules.ts'
import type { Base } from './merge.ts'
import { asRewardModel } from './scored.ts'

/**
 * Opens a folder in Hugging Face layout, or a GGUF file. Weights stay on disk until they are read. `unused` names tensors of the files
 * that the architecture does not know. Faults: those of `openCheckpoint`, `openGgufCheckpoint` and `joinCheckpoint`.
 */
export const loadPretrained = async (
  dir: string,
): Promise<Pretrained & Pick<Checkpoint, 'dir' | 'files' | 'generationConfig'>> => {
  const checkpoint = await ((await isThere(dir)) ? openGgufCheckpoint(dir) : openCheckpoint(dir))
  const { files, generationConfig } = checkpoint
  return { dir, files, generationConfig, ...(await joinCheckpoint(checkpoint)) }
}

/** What an adapter folder says of the model it was made for; undefined for the folder of a model. */
export const namedBase = async (dir: string): Promise<{ name: unknown; revision: unknown } | undefined> => {
  if (!(await isAdapterFolder(dir))) return undefined
  const { base_model_name_or_path: name, revision } = await jsonFile(join(dir, 'adapter_config.json'))
  return { name, revision }
}

/** The head in the file of a reward model's adapter. */
const adapterHead = adapterName(scoreWeight)

/**
 * Opens a PEFT folder for this base, and returns the base that goes with it. With a reward model's adapter a language model
 * gets the adapter's score head; with an adapter that was trained with new tokens it gets the enlarged embeddings and head. Faults: those of `openAdapter` and `parseAdapter`.
 */
export const loadAdapted = async <B extends Base>(dir: string, base: B): Promise<{ base: B; adapter: Adapter }> => {
  const folder = await openAdapter(dir)
  const head = folder.tensors.get(adapterHead)
  const scored = head && !base.architecture.scores ? { ...base, ...asRewardModel(base, head) } : base
  const whole = { ...scored, ...withVocabulary(scored, folder.tensors, dir) }
  const adapter = parseAdapter(folder.config, folder.tensors, whole.architecture, whole.config, dir)
  return { base: whole, adapter }
}
