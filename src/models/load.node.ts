/** Model and adapter folders on disk as models and adapters. */
import { type Checkpoint, openAdapter, openCheckpoint } from '../checkpoint/folder.node.ts'
import { joinCheckpoint, type Pretrained } from './load.ts'
import { type Adapter, parseAdapter } from './lora.ts'

/**
 * Opens a folder in Hugging Face layout. Weights stay on disk until they are read. `unused` names tensors of the files
 * that the architecture does not know. Faults: those of `openCheckpoint` and `joinCheckpoint`.
 */
export const loadPretrained = async (
  dir: string,
): Promise<Pretrained & Pick<Checkpoint, 'dir' | 'files' | 'generationConfig'>> => {
  const checkpoint = await openCheckpoint(dir)
  const { files, generationConfig } = checkpoint
  return { dir, files, generationConfig, ...(await joinCheckpoint(checkpoint)) }
}

/** Opens a PEFT folder for this base. Faults: those of `openAdapter` and `parseAdapter`. */
export const loadAdapter = async (
  dir: string,
  { architecture, config }: Pick<Pretrained, 'architecture' | 'config'>,
): Promise<Adapter> => {
  const folder = await openAdapter(dir)
  return parseAdapter(folder.config, folder.tensors, architecture, config, dir)
}
