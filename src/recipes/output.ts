/** What a run leaves behind: `model/` as transformers loads it, or `adapter/` as peft does, tokenizer beside it. */
import { copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { writeTensors } from '../checkpoint/folder.node.ts'
import { adapterFiles } from '../models/loraNew.ts'
import { type ModelFiles, modelFiles, type SaveDtype } from '../models/save.ts'
import { diskFault, writeWhole } from '../util/files.node.ts'
import type { Policy } from './policy.ts'

const dtypes = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' } as const

/** Files of a model folder that are the tokenizer's. */
const tokenizerFiles =
  /^(tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|chat_template\..*)$/

/** Written beside and renamed, so that the folder is whole or not there. @returns its path */
export const writeResult = async (policy: Policy, runDir: string, dtype: keyof typeof dtypes): Promise<string> => {
  const kind = policy.adapter ? 'adapter' : 'model'
  const [path, temporary] = [join(runDir, kind), join(runDir, `${kind}.tmp`)]
  try {
    await rm(temporary, { recursive: true, force: true })
    await mkdir(temporary, { recursive: true })
    const { texts, tensors } = filesOf(policy, dtypes[dtype])
    for (const [name, text] of Object.entries(texts))
      await writeWhole(join(temporary, name), [new TextEncoder().encode(text)])
    await writeTensors(temporary, tensors, policy.adapter ? 'adapter_model' : 'model')
    await copyTokenizer(policy.dir, temporary)
    await rm(path, { recursive: true, force: true })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {})
    throw diskFault(error, path)
  }
  return path
}

const filesOf = (policy: Policy, dtype: SaveDtype): ModelFiles => {
  const { model, adapter, pretrained, dir } = policy
  const read = (name: string) => model.backend.read(model.params.get(name)!)
  if (!adapter) return modelFiles(pretrained, dtype, pretrained.generationConfig, read)
  const { config, tensors } = adapterFiles(adapter, pretrained.architecture, pretrained.config, read, resolve(dir))
  return { texts: { 'adapter_config.json': config }, tensors }
}

const copyTokenizer = async (from: string, to: string) => {
  for (const name of await readdir(from))
    if (tokenizerFiles.test(name)) await copyFile(join(from, name), join(to, name))
}
