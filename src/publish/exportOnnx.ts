/**
 * Exports a model for transformers.js, in Optimum's layout: onnx/model.onnx beside config and tokenizer. transformers.js takes
 * the shape of the key-value cache from config.json, so the entries that a config may leave out are written; and on some devices
 * it would look for weights of another type, so the config names the type that is there. It knows chat templates from
 * tokenizer_config.json alone.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { decoderProgram, decoderTables } from '../generate/onnxDecoder.ts'
import type { Config } from '../models/architecture.ts'
import { modelFiles } from '../models/save.ts'
import { refuseEncoder } from '../models/scored.ts'
import { constantBytes, onnxFiles } from '../onnx/file.ts'
import type { Program } from '../onnx/model.ts'
import { tokenizerFiles, tokenizerFolders, tokenizerText } from '../text/tokenizer.node.ts'
import { readJson, readTemplates } from '../text/tokenizerConfig.ts'
import { writeWhole } from '../util/files.node.ts'
import type { MergedModel } from './mergedModel.ts'
import { writeFolderWith } from './modelFolder.ts'

/** @returns the ONNX files below `output`, and the bytes of their weights. Throws Faults 'disk', and 'no-language-head' for an encoder. */
export const exportOnnx = async (model: MergedModel, output: string): Promise<{ files: string[]; bytes: number }> => {
  const { architecture, config, params, dir, adapterDir: adapter } = model
  refuseEncoder(architecture, dir)
  const program = sizedProgram(model)
  const tables = decoderTables(architecture, config)
  const read = async (name: string) => tables.get(name) ?? (await params.get(name)!.floats())
  const files = onnxFiles(program, 'model.onnx', read)
  const bytes = constantBytes(program)
  const texts = await onnxTexts(model, files.length - 1)
  await writeFolderWith(output, { texts, tokenizerFrom: { dir, adapter }, bytes }, async (folder) => {
    await mkdir(join(folder, 'onnx'))
    for (const { name, chunks } of files) await writeWhole(join(folder, 'onnx', name), chunks)
  })
  return { files: files.map(({ name }) => `onnx/${name}`), bytes }
}

/** The program of the file; its constants have the shapes that they have there. */
export const sizedProgram = ({ architecture, config }: MergedModel): Program => {
  const program = decoderProgram(architecture, config)
  const tables = decoderTables(architecture, config)
  const constants = program.constants.map((port) => (tables.has(port.name) ? withTableShape(port, tables) : port))
  return { ...program, constants }
}

/** The texts of the folder that are not copied, by name. @param dataFiles beside model.onnx, for weights beyond 2 GB */
export const onnxTexts = async (model: MergedModel, dataFiles: number): Promise<Record<string, string>> => {
  const generation = model.generationConfig ?? generationConfigOf(model.config)
  const { texts } = modelFiles(withCacheShape(model, dataFiles), 'F32', generation)
  const tokenizer = await tokenizerConfigOf(model)
  return tokenizer === undefined ? texts : { ...texts, [tokenizerConfig]: tokenizer }
}

const tokenizerConfig = 'tokenizer_config.json'

/** With the chat templates, where the model has them in files of their own. */
const tokenizerConfigOf = async ({ dir, adapterDir: adapter }: MergedModel): Promise<string | undefined> => {
  const files = await tokenizerFiles({ dir, adapter })
  if (!files) return undefined
  const templates = Object.entries(await readTemplates(files, await readJson(files.tokenizerConfig)))
  if (!templates.length) return undefined
  const { tokenizer } = await tokenizerFolders({ dir, adapter })
  const own = await tokenizerText(tokenizer, tokenizerConfig)
  const named = templates.map(([name, { source: template }]) => ({ name, template }))
  const chat_template = named.length === 1 && named[0].name === 'default' ? named[0].template : named
  return `${JSON.stringify({ ...(own && JSON.parse(own)), chat_template }, null, 2)}\n`
}

/** The program takes tables of any length; the file's have a row for each position of the model. */
const withTableShape = <Port extends { name: string; shape: readonly unknown[] }>(
  port: Port,
  tables: Map<string, Float32Array>,
) => {
  const width = port.shape[1] as number
  return { ...port, shape: [tables.get(port.name)!.length / width, width] }
}

const generationConfigOf = ({ raw }: Config) =>
  Object.fromEntries(
    ['bos_token_id', 'eos_token_id', 'pad_token_id'].flatMap((key) => (raw[key] == null ? [] : [[key, raw[key]]])),
  )

/** With the entries of config.json that transformers.js reads. @param dataFiles beside model.onnx, for weights beyond 2 GB */
const withCacheShape = (model: MergedModel, dataFiles: number): MergedModel => {
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
