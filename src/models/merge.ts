/**
 * A base model with its adapter: side by side for training, or merged into one model's weights. Tied embeddings are
 * untied where only the head or only the embedding changes; PEFT would let a merged head change the embedding too.
 */
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { magnitudeOf } from '../nn/scope.ts'
import { type Architecture, type Config, headWeight } from './architecture.ts'
import { withLengths } from './dora.ts'
import { type Adapter, scalingsOf } from './lora.ts'
import { loraA, loraB, loraModules, moduleOf } from './loraModules.ts'

export type Base = { architecture: Architecture; config: Config; params: ReadonlyMap<string, StoredTensor> }

/** The weights that full fine-tuning trains. */
export const trainedWeights = ({ architecture, params }: Base): Map<string, StoredTensor> =>
  new Map([...params].filter(([name]) => !architecture.isFixed?.(name)))

const untied = ({ architecture, config, params }: Base): Base => ({
  architecture,
  config: { ...config, tie_word_embeddings: false },
  params: new Map(params).set(headWeight, params.get(architecture.embedding)!),
})

/** Whether one of these names is the head's or the embedding's, while both share a weight. */
const breaksTie = ({ architecture, config }: Base, names: Iterable<string>) =>
  config.tie_word_embeddings && [...names].some((name) => name === headWeight || name === architecture.embedding)

/** The base with the adapter's parameters added (for `makeModel`); those of saved modules replace its own. */
export const applyAdapter = (base: Base, adapter: Adapter): Base & { scalings: Map<string, number> } => {
  const whole = breaksTie(base, adapter.saved) ? untied(base) : base
  return { ...whole, params: new Map([...whole.params, ...adapter.params]), scalings: scalingsOf(adapter) }
}

/**
 * The merged weights: W + scaling B A, each computed in float64 when it is read; with DoRA its rows get the lengths that the magnitude
 * says.
 * @param read the value of an adapter's parameter; as stored, when absent
 */
export const mergeAdapter = (
  base: Base,
  adapter: Adapter,
  read: (name: string) => Promise<Float32Array> = (name) => adapter.params.get(name)!.floats(),
): Base => {
  const changed = [...adapter.saved, ...[...adapter.targets.keys()].map((module) => `${module}.weight`)]
  const whole = breaksTie(base, changed) ? untied(base) : base
  const modules = loraModules(base.architecture, base.config)
  const saved = new Set(adapter.saved)
  const merged = [...whole.params].map(([name, tensor]): [string, StoredTensor] => {
    const module = moduleOf(name)
    const target = adapter.targets.get(module)
    const value = saved.has(name) ? () => read(name) : tensor.floats
    if (!target || !name.endsWith('.weight'))
      return [name, saved.has(name) ? lazyTensor(name, tensor.shape, value) : tensor]
    const { transposed } = modules.get(module)!
    const add = async () => {
      const sum = added(await value(), await read(loraA(module)), await read(loraB(module)), { ...target, transposed })
      return adapter.dora ? withLengths(sum, await read(magnitudeOf(module)), transposed) : sum
    }
    return [name, lazyTensor(name, tensor.shape, add)]
  })
  return { ...whole, params: new Map(merged) }
}

/** W + scaling B A. W [out, in], or [in, out] when transposed; A [r, in], B [out, r]. */
const added = (
  W: Float32Array,
  A: Float32Array,
  B: Float32Array,
  { r, scaling, transposed }: { r: number; scaling: number; transposed: boolean },
): Float32Array => {
  // W is [rows, columns], the update left [rows, r] times right [r, columns]
  const [left, right] = transposed ? [swapped(A, r), swapped(B, B.length / r)] : [B, Float64Array.from(A)]
  const columns = right.length / r
  const sum = new Float32Array(W.length)
  const row = new Float64Array(columns)
  for (let at = 0, i = 0; at < W.length; at += columns, i++) {
    row.fill(0)
    for (let k = 0; k < r; k++) addScaled(row, right, k * columns, scaling * left[i * r + k])
    for (let j = 0; j < columns; j++) sum[at + j] = W[at + j] + row[j]
  }
  return sum
}

const addScaled = (row: Float64Array, right: Float64Array, at: number, scale: number) => {
  for (let j = 0; j < row.length; j++) row[j] += scale * right[at + j]
}

/** [rows, columns] -> [columns, rows] in float64. */
const swapped = (x: Float32Array, rows: number): Float64Array => {
  const columns = x.length / rows
  const out = new Float64Array(x.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = x[i * columns + j]
  return out
}
