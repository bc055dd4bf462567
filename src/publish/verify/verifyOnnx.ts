/**
 * Proves a folder for transformers.js: its weights and settings beside the model that it was made from, and what transformers.js makes
 * of it beside attune: ids, prompts, beginning and end tokens, and log-probs.
 */
import { join } from 'node:path'
import { decoderTables } from '../../generate/onnxDecoder.ts'
import { onnxWeights } from '../../onnx/weights.ts'
import { fileSource, textFile } from '../../util/files.node.ts'
import { onnxTexts, sizedProgram } from '../exportOnnx.ts'
import { type MergedModel, openMerged } from '../mergedModel.ts'
import { type Check, compareWeights, compareWithReader } from './compare.ts'
import { expectedOf } from './expected.ts'
import type { ExportReader } from './reader.ts'
import type { VerifySettings } from './verifyGguf.ts'

/** @param openReader opens the program that reads the folder, which is `file` */
export const verifyOnnx = async (
  { model, adapter, file: folder, threads }: VerifySettings,
  openReader: (folder: string) => Promise<ExportReader>,
): Promise<Check[]> => {
  const merged = await openMerged(model, adapter)
  const at = (name: string) => fileSource(join(folder, 'onnx', name))
  const found = await onnxWeights(await at('model.onnx'), at)
  const weights = new Map([...found].map(([name, weight]) => [name, { dtype: 'F32', ...weight }]))
  const reader = await openReader(folder)
  try {
    return [
      await settings(merged, folder),
      await compareWeights(dueWeights(merged), weights),
      ...(await compareWithReader(await expectedOf(merged, { exact: true, threads }), reader)),
    ]
  } finally {
    await reader.close()
  }
}

const dueWeights = (merged: MergedModel) => {
  const tables = decoderTables(merged.architecture, merged.config)
  return sizedProgram(merged).constants.map(({ name, shape }) => ({
    name,
    shape: shape as readonly number[],
    data: async () => tables.get(name) ?? (await merged.params.get(name)!.floats()),
  }))
}

/** What config.json and generation_config.json say, but for how many files hold the weights. */
const settings = async (merged: MergedModel, folder: string): Promise<Check> => {
  const due = await onnxTexts(merged, 0)
  const wrong: string[] = []
  let count = 0
  for (const name of ['config.json', 'generation_config.json']) {
    const found = JSON.parse(await textFile(join(folder, name)))
    for (const [key, value] of Object.entries<unknown>(JSON.parse(due[name]))) {
      if (key === 'transformers.js_config') continue
      count++
      const [ours, theirs] = [JSON.stringify(value), JSON.stringify(found[key])]
      if (ours !== theirs) wrong.push(`${key} in ${name} is ${theirs ?? 'missing'}, and the model's is ${ours}`)
    }
  }
  return { name: 'settings', found: `${count - wrong.length} of ${count} are the same`, wrong }
}
