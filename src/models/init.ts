/**
 * Initial weights as transformers draws them: normal(0, initializer_range) for matrices, 0 for biases and the padding
 * row of the embedding, 1 for norms (0 for those that are added to 1), and what an architecture says of its own; GPT-2's residual projections are divided by sqrt(2 layers). Each
 * tensor has its own random stream and is made when it is read, so the model need not be in memory as a whole.
 */
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { fillNormal, fillUniform } from '../util/rng.ts'
import { numel } from '../util/shape.ts'
import type { Architecture, Config } from './architecture.ts'

/** Keeps these random numbers apart from others of the same seed. */
const SUBSTREAM = 0x1417

/** Every parameter of the architecture, in its order. */
export const initWeights = (architecture: Architecture, config: Config, seed: number): Map<string, StoredTensor> =>
  new Map(
    [...architecture.shapes(config)].map(([name, shape], stream) => {
      const fill = filler(name, shape, architecture, config, { seed, stream, substream: SUBSTREAM })
      return [name, lazyTensor(name, shape, () => fill(new Float32Array(numel(shape))))]
    }),
  )

type Fill = (values: Float32Array) => Float32Array

const filler = (
  name: string,
  shape: readonly number[],
  architecture: Architecture,
  config: Config,
  from: { seed: number; stream: number; substream: number },
): Fill => {
  const begins = architecture.begins?.(name)
  if (begins) return (x) => fillUniform(x, from, 0, 1).map(begins)
  if (name.endsWith('.bias')) return (x) => x
  if (shape.length === 1) return (x) => x.fill(architecture.zeroNorms ? 0 : 1)
  const residual = architecture.conv1d && name.endsWith('.c_proj.weight')
  const std = config.initializer_range / (residual ? Math.sqrt(2 * config.num_hidden_layers) : 1)
  const padding = name === architecture.embedding ? paddingRow(architecture, config) : undefined
  return (x) => {
    fillNormal(x, from, std)
    return padding === undefined ? x : x.fill(0, padding * shape[1], (padding + 1) * shape[1])
  }
}

/** GPT-2's embedding knows no padding. */
const paddingRow = ({ conv1d }: Architecture, { raw, vocab_size }: Config): number | undefined => {
  const id = raw.pad_token_id
  return !conv1d && typeof id === 'number' && id >= 0 && id < vocab_size ? id : undefined
}
