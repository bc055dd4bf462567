/** Writes a model in another form, by the names that the command line and the library take: merged, as GGUF, as ONNX. */
import { modelFiles } from '../models/save.ts'
import { badInput } from '../util/fault.ts'
import { exportGguf, type GgufReport } from './exportGguf.ts'
import { exportOnnx } from './exportOnnx.ts'
import { refuseTakenGguf, writeBesideGguf } from './ggufFiles.ts'
import type { GgufFormat } from './ggufFormats.ts'
import { openMerged } from './mergedModel.ts'
import { refuseTaken, storedAs, writeModelFolder } from './modelFolder.ts'

export type ModelSource = {
  /** A folder, a hub id, a run, or a PEFT adapter that names its base. */
  model: string
  /** A PEFT adapter of that model, or a run that trained one (default: that of the run which `model` names). */
  adapter?: string
}

/** Where the model came from. */
export type Sources = {
  /** The folder of the base model. */
  base: string
  /** The folder of the adapter that was merged in. */
  adapter?: string
}

/** Settings of `merge`. */
export type MergeSettings = ModelSource & {
  /** The folder to write. It must be new or empty. */
  output: string
  /** Data type of the weights (default: float32). */
  saveDtype?: keyof typeof storedAs
}

/** Throws Faults 'taken', 'disk', 'bad-flag' without an adapter, and those of a model that cannot be opened. */
export const mergeModel = async ({
  model,
  adapter,
  output,
  saveDtype = 'float32',
}: MergeSettings): Promise<Required<Sources>> => {
  await refuseTaken(output)
  const merged = await openMerged(model, adapter)
  const { dir, adapterDir } = merged
  if (adapterDir === undefined) throw badInput('bad-flag', 'is required: the adapter to merge', { flag: '--adapter' })
  await writeModelFolder(output, modelFiles(merged, storedAs[saveDtype], merged.generationConfig), {
    stem: 'model',
    tokenizerFrom: { dir, adapter: adapterDir },
  })
  return { base: dir, adapter: adapterDir }
}

/** Settings of `exportGguf`. */
export type GgufSettings = ModelSource & {
  /** The file to write. It must not exist. */
  output: string
  /** What the weights are stored as: F32, F16, or in 8, 6, 5 or 4 bits as Q8_0, Q6_K, Q5_K_M, Q4_K_M or Q4_0. */
  type: GgufFormat
  /** What Ollama tells the model before a conversation: the SYSTEM of the Modelfile. */
  system?: string
}

/** What lies beside a GGUF file. */
export type GgufBeside = {
  /** Paths of the Modelfile and the model card. */
  beside: string[]
}

/** Throws Faults 'taken', 'gguf' for what llama.cpp cannot do, 'disk', and those of a model that cannot be opened. */
export const convertToGguf = async ({
  model,
  adapter,
  output,
  type,
  system,
}: GgufSettings): Promise<Sources & GgufReport & GgufBeside> => {
  await refuseTakenGguf(output)
  const merged = await openMerged(model, adapter)
  const report = await exportGguf(merged, type, output)
  const beside = await writeBesideGguf(merged, { output, type, bytes: report.bytes, system })
  return { base: merged.dir, adapter: merged.adapterDir, ...report, beside }
}

/** Settings of `exportOnnx`. */
export type OnnxSettings = ModelSource & {
  /** The folder to write. It must be new or empty. */
  output: string
}

/** What `exportOnnx` wrote. */
export type OnnxReport = {
  /** The ONNX files in the folder. */
  files: string[]
  /** Of their weights. */
  bytes: number
}

/** Throws Faults 'taken', 'disk', and those of a model that cannot be opened. */
export const convertToOnnx = async ({ model, adapter, output }: OnnxSettings): Promise<Sources & OnnxReport> => {
  await refuseTaken(output)
  const merged = await openMerged(model, adapter)
  return { base: merged.dir, adapter: merged.adapterDir, ...(await exportOnnx(merged, output)) }
}
