/** What a run leaves behind: `model/` as transformers loads it, or `adapter/` as peft does, tokenizer beside it. */
import { join, resolve } from 'node:path'
import { repoOfPath } from '../../checkpoint/hubRepo.node.ts'
import { adapterFiles } from '../../models/loraNew.ts'
import { type ModelFiles, modelFiles, type SaveDtype } from '../../models/save.ts'
import { storedAs, writeModelFolder } from '../../publish/modelFolder.ts'
import type { Policy } from './policy.ts'

/**
 * Written beside and renamed, so that the folder is whole or not there. @returns its path
 * @param beside texts by file name that lie beside the weights; they replace those of the same names
 */
export const writeResult = async (
  policy: Policy,
  runDir: string,
  dtype: keyof typeof storedAs,
  beside: Readonly<Record<string, string>> = {},
): Promise<string> => {
  const path = join(runDir, policy.adapter ? 'adapter' : 'model')
  const stem = policy.adapter ? 'adapter_model' : 'model'
  const { texts, tensors } = filesOf(policy, storedAs[dtype])
  await writeModelFolder(
    path,
    { texts: { ...texts, ...beside }, tensors },
    { stem, tokenizerFrom: { dir: policy.dir, adapter: policy.adapterDir } },
  )
  return path
}

const filesOf = (policy: Policy, dtype: SaveDtype): ModelFiles => {
  const { model, adapter, pretrained, dir } = policy
  const read = (name: string) => model.backend.read(model.params.get(name)!)
  if (!adapter) return modelFiles(pretrained, dtype, pretrained.generationConfig, read)
  // A path of this machine's cache would mean nothing elsewhere
  const base = repoOfPath(dir) ?? resolve(dir)
  const { config, tensors } = adapterFiles(adapter, pretrained.architecture, pretrained.config, read, base)
  return { texts: { 'adapter_config.json': config }, tensors }
}
