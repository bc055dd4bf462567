/**
 * A whole decoder as one ONNX program with the inputs and outputs that Optimum exports and transformers.js feeds: ids, mask
 * and positions of the new tokens [B, T], and past keys and values of P earlier ones. Rows are padded, as those callers
 * pad them; inside, blocks see the B*T tokens as one list, as everywhere in attune.
 */
import type { Architecture, BlockContext, Config } from '../models/architecture.ts'
import { type Attend, hidden, sinkColumn, softmaxBeside } from '../nn/attention.ts'
import { logits } from '../nn/head.ts'
import { ropeTables } from '../nn/rope.ts'
import { makeScope } from '../nn/scope.ts'
import { compileProgram, type Program } from '../onnx/model.ts'
import { type Dim, mulDims } from '../tensor/dim.ts'
import { concat, input, iota, scalar, type Tensor } from '../tensor/tensor.ts'
import { badInput } from '../util/fault.ts'

const [B, T, P] = ['batch_size', 'sequence_length', 'past_sequence_length']
/** Places that a new token may see. */
const S = `${P}+${T}`
const N = mulDims(B, T)

const i64 = (value: number) => scalar(value, 'i64')

/** Constants are the parameters by name, and the tables of `decoderTables`. */
export const decoderProgram = (architecture: Architecture, config: Config): Program => {
  if (architecture.width) throw badInput('onnx', `${architecture.name} is not exported to ONNX; keep the folder`)
  const shapes = architecture.shapes(config)
  const scope = makeScope(shapes)
  const [ids, positions] = ['input_ids', 'position_ids'].map((name) => input(name, [B, T], 'i64').reshape([N]))
  const masks = new Map<number | undefined, Tensor>()
  const maskOf = (window: number | undefined) => {
    if (!masks.has(window)) masks.set(window, attentionMask(window))
    return masks.get(window)!
  }
  const present: Record<string, Tensor> = {}
  let x = architecture.embed(scope, ids, positions, config)
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const attend = attendPast(layer, maskOf, present)
    const context = {
      attend,
      rotate: rotateBy(positions),
      positions,
      recent: refuse('short convolutions'),
      deltaRule: refuse('layers of the delta rule'),
    }
    const kind = architecture.layerKind(config, layer)
    x = architecture.block(scope.at(architecture.layerPrefix(layer)), x, context, config, kind)
  }
  const scores = logits(scope, architecture.finalNorm(scope, x, config), architecture.head(config))
  const outputs = { logits: scores.reshape([B, T, config.vocab_size]), ...present }
  return compileProgram('decoder', outputs, (name) => shapes.has(name) || name.startsWith('rope.'))
}

/** Seen: what is not padding, not later, and near enough. [B, 1, 1, T, S], 0 or a large negative number */
const attentionMask = (window: number | undefined): Tensor => {
  const real = input('attention_mask', [B, S], 'i64').reshape([B, 1, S]).gt(0)
  const place = iota(S)
  const own = place.slice(0, P, S).reshape([T, 1])
  const back = own.sub(place.reshape([1, S]))
  const seen = back.ge(0).and(real)
  const near = window === undefined ? seen : seen.and(back.lt(i64(window)))
  return near.where(0, hidden).reshape([B, 1, 1, T, S])
}

const rotateBy =
  (positions: Tensor): BlockContext['rotate'] =>
  (x, heads, table, rotary) => {
    const values = (name: string) => input(tableName(name, table), ['M', rotary / 2])
    return x.rope(positions, values('cos'), values('sin'), { heads, rotary, inverse: false })
  }

const refuse = (what: string) => (): never => {
  throw badInput('onnx', `${what} are not exported to ONNX; keep the folder`)
}

const tableName = (name: string, table: string) => (table ? `rope.${name}.${table}` : `rope.${name}`)

/** [N, heads*D] -> [B, heads, T, D] */
const spread = (x: Tensor, heads: number, D: number) => x.reshape([B, T, heads, D]).transpose([0, 2, 1, 3])

const attendPast =
  (layer: number, maskOf: (window: number | undefined) => Tensor, present: Record<string, Tensor>): Attend =>
  (q, k, v, { heads, kvHeads, headDim: D, scale, window, softcap, sinks }) => {
    const whole = (name: string, x: Tensor) => {
      const past = input(`past_key_values.${layer}.${name}`, [B, kvHeads, P, D])
      const all = concat([past, spread(x, kvHeads, D)], 2)
      present[`present.${layer}.${name}`] = all
      return all
    }
    const [keys, values] = [whole('key', k), whole('value', v)]
    const group = heads / kvHeads
    // the heads that share keys are one taller matrix
    const tall: Dim[] = [B, kvHeads, mulDims(group, T)]
    const scores = spread(q.mul(scale), heads, D)
      .reshape([...tall, D])
      .matmul(keys, { transB: true })
    const capped = softcap ? scores.div(softcap).tanh().mul(softcap) : scores
    const masked = capped.reshape([B, kvHeads, group, T, S]).add(maskOf(window))
    const probs = softmaxBeside(masked, sinks && sinkColumn(sinks, masked.shape)).probs.reshape([...tall, S])
    const mixed = probs.matmul(values).reshape([B, heads, T, D])
    return mixed.transpose([0, 2, 1, 3]).reshape([N, heads * D])
  }

/** cos and sin of every position the model has, by the name of the program's constant; [positions, rotary / 2]. */
export const decoderTables = (architecture: Architecture, config: Config): Map<string, Float32Array> => {
  const rotary = architecture.rotary(config)
  const tables = new Map<string, Float32Array>()
  for (const [table, rope] of Object.entries(rotary ? (config.rope ?? {}) : {})) {
    const { cos, sin } = ropeTables(rope, rotary, config.max_position_embeddings)
    tables.set(tableName('cos', table), cos)
    tables.set(tableName('sin', table), sin)
  }
  return tables
}
