/**
 * Opens a model by a folder, a hub id or the name of a run. Everything that can be wrong with its files is found
 * before the engine starts and the first weight is read.
 */
import { loadAdapted, loadPretrained } from '../models/load.node.ts'
import { applyAdapter, type Base } from '../models/merge.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { requireEncoder, requireLanguageHead, requirePairRanker, requireScoreHead } from '../models/scored.ts'
import type { Backend } from '../runtime/backend.ts'
import { type OpenOptions as EngineOptions, openBackend } from '../runtime/open.node.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { calibrationIds } from './calibrationIds.node.ts'
import type { Compute } from './int8.ts'
import { type Model, makeModel } from './model.ts'
import { putQuantized, type Quantize } from './quantize.ts'

type Head = 'language' | 'scores' | 'either' | 'encoder' | 'pairs'

const requireHead: Record<Head | 'any', (base: Pick<Base, 'architecture'>, file: string) => void> = {
  language: requireLanguageHead,
  scores: requireScoreHead,
  either: (base, file) => {
    if (!base.architecture.scores) requireLanguageHead(base, file)
  },
  encoder: requireEncoder,
  pairs: requirePairRanker,
  any: () => {},
}

/** Which model is opened, and how. */
export type OpenModelOptions = EngineOptions & {
  /** A folder in Hugging Face layout, a hub id, a run's name or folder, or a PEFT adapter that names its base. */
  model: string
  /** A PEFT folder, a hub id, or a run that made an adapter; by default that of the run which `model` names. */
  adapter?: string
  /**
   * What it must have: 'language' by default; 'scores' of a reward model; 'either'. An 'encoder' (a pair ranker is one too) and
   * 'pairs', the head of a pair ranker, are other models; 'any' takes all.
   */
  head?: Head | 'any'
  /** Format in which the blocks' linear weights are quantized as they are read; 'none' by default. */
  quantize?: Quantize
  /** How products with those weights are computed; 'fp32' by default. */
  compute?: Compute
  /** That of another model, which then also ends it; by default one of its own. */
  engine?: Backend
  /** Called with bytes fetched, then with tensors read. */
  onProgress?: (progress: { phase: 'download' | 'load'; done: number; total: number }) => void
}

/** A model in an engine of its own, with its tokenizer. */
export type OpenedModel = {
  /** Its weights and its programs. */
  model: Model
  /** Undefined where the folder has none: such a model works with token ids alone. */
  tokenizer?: Tokenizer
  /** The folder that holds it. */
  dir: string
  /** The adapter's, where there is one. */
  adapterDir?: string
  /** Paths of the weights. */
  files: readonly string[]
  /** The content of generation_config.json, where there is one. */
  generationConfig?: Readonly<Record<string, unknown>>
  /** The engine that holds the weights. */
  backend: Backend
  /** Ends the engine. */
  close(): Promise<void>
}

/**
 * Faults: those of `resolveModel`, `loadPretrained` and `loadAdapted`; 'no-language-head', 'no-score-head',
 * 'no-encoder' and 'no-pair-ranker' where the model is not what is asked for.
 */
export const openModel = async (options: OpenModelOptions): Promise<OpenedModel> => {
  const { model: name, onProgress = () => {} } = options
  const fetched: Parameters<typeof resolveModel>[1] = {
    onProgress: ({ bytes, total }) => onProgress({ phase: 'download', done: bytes, total }),
  }
  const { dir, adapter: adapterDir } = await resolveModel({ model: name, adapter: options.adapter }, fetched)
  const { files, generationConfig, ...pretrained } = await loadPretrained(dir)
  const adapted = adapterDir === undefined ? undefined : await loadAdapted(adapterDir, pretrained)
  const { base, adapter } = adapted ?? { base: pretrained, adapter: undefined }
  const { head = 'language' } = options
  requireHead[head](base, head === 'scores' ? (adapterDir ?? dir) : dir)
  const whole = adapter ? applyAdapter(base, adapter) : base
  const tokenizer = await loadTokenizerFolder(dir, adapterDir)
  const backend = options.engine ?? (await openBackend(options))
  const end = async () => {
    if (!options.engine) await backend.close()
  }
  try {
    const { compute = 'fp32' } = options
    const placed = await putQuantized(backend, whole, whole.params, {
      format: options.quantize ?? 'none',
      compute,
      calibration: await calibrationIds(dir, whole.config, compute),
      back: false,
      exact: adapter?.saved ?? [],
      onTensor: (done) => onProgress({ phase: 'load', done, total: whole.params.size }),
    })
    const model = makeModel({ ...whole, backend, ...placed })
    return { model, tokenizer, dir, adapterDir, files, generationConfig, backend, close: end }
  } catch (error) {
    await end()
    throw error
  }
}
