/** Model folders on disk as models. */
import { type Checkpoint, openCheckpoint } from '../checkpoint/folder.node.ts'
import { joinCheckpoint, type Pretrained } from './load.ts'

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
