/**
 * A model as a folder for transformers.js, in Optimum's layout: onnx/model.onnx beside config and tokenizer. Peculiar:
 * transformers.js takes the cache's shape from config.json, so what a config may leave out is written down; and it would
 * look for another type of weights on some devices, so the config names the one that is there.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { decoderProgram, decoderTables } from '../generate/onnxDecoder.ts'
import type { Config } from '../models/architecture.ts'
import { modelFiles } from '../models/save.ts'
import { constantBytes, onnxFiles } from '../onnx/file.ts'
import { writeWhole } from '../util/files.node.ts'
import type { Merged } from './mergedModel.ts'
import { copyTokenizer, writeFolder, writeTexts } from './modelFolder.ts'

/** Written as a whole or not at all. Throws Faults 'disk'. */
export const exportOnnx = async (model: Merged, output: string): Promise<{ files: string[]; bytes: number }> => {
  const { architecture, config, params, dir, adapterDir: adapter } = model
  const program = decoderProgram(architecture, config)
  const tables = decoderTables(architecture, config)
  const read = async (name: string) => tables.get(name) ?? (await params.get(name)!.floats())
  const lengths = program.constants.map((port) => (tables.has(port.name) ? tableShape(port, tables) : port))
  const files = onnxFiles({ ...program, constants: lengths }, 'model.onnx', read)
  const bytes = constantBytes({ ...program, constants: lengths })
  const generation = model.generationConfig ?? generationOf(config)
  const { texts } = modelFiles(withCacheShape(model, files.length - 1), 'F32', generation)
  await writeFolder(output, bytes, async (temporary) => {
    await writeTexts(temporary, texts)
    await copyTokenizer({ dir, adapter }, temporary)
    await mkdir(join(temporary, 'onnx'))
    for (const { name, chunks } of files) await writeWhole(join(temporary, 'onnx', name), chunks)
  })
  return { files: files.map(({ name }) => `onnx/${name}`), bytes }
}

/** The program has tables of any length; the file of so many positions. */
const tableShape = <Port extends { name: string; shape: readonly unknown[] }>(
  port: Port,
  tables: Map<string, Float32Array>,
) => {
  const width = port.shape[1] as number
  return { ...port, shape: [tables.get(port.name)!.length / width, width] }
}

const generationOf = ({ raw }: Config) =>
  Object.fromEntries(
    ['bos_token_id', 'eos_token_id', 'pad_token_id'].flatMap((key) => (raw[key] == null ? [] : [[key, raw[key]]])),
  )

const withCacheShape = (model: Merged, dataFiles: number): Merged => {
  const { config } = model
  const shape =
    config.model_type === 'gpt2'
      ? { n_embd: config.hidden_size, n_head: config.num_attention_heads, n_layer: config.num_hidden_layers }
      : {
          hidden_size: config.hidden_size,
          num_hidden_layers: config.num_hidden_layers,
          num_attention_heads: config.num_attention_heads,
          num_key_value_heads: config.num_key_value_heads,
          head_dim: config.head_dim,
        }
  const own = { dtype: 'fp32', ...(dataFiles > 0 && { use_external_data_format: dataFiles }) }
  return { ...model, config: { ...config, raw: { ...config.raw, ...shape, 'transformers.js_config': own } } }
}
