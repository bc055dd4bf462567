/**
 * Logits of a batch, and what sampling needs of them. The head's weights are in one program, whatever is needed, so that
 * the engine lays them out in memory once.
 */
import { logits } from '../nn/head.ts'
import { codesOf, makeScope, type Scope, scalesOf } from '../nn/scope.ts'
import { compileProgram } from '../onnx/model.ts'
import { executable, type Model, outerPart, scopeOf } from '../passes/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import type { Decoder } from './decode.ts'
import { fitsProgram } from './decodePrograms.ts'
import { headQuantization, quantizeOnBackend } from './quantizedDecode.ts'

/** Neighbouring ids whose probabilities are summed together. */
export const blockSize = 256

/** How many of the likeliest tokens are found. */
export const topWidth = (V: number) => Math.min(V, 128)

/**
 * Of hidden states [R, C]: `logits` [R, V]; of each row `first` and `most`, the likeliest id and its logit, and `spread`,
 * the log-sum-exp minus that logit (so that only the difference is rounded), each [R]; `blocks` [R, V / 256], sums
 * of exp((logit - most) / temperature); where asked for, `topIds` and `top` [R, topWidth], ids and logits, largest first.
 */
export const batchLogits = (
  { model, packed }: Pick<Decoder, 'model' | 'packed'>,
  h: Handle,
  temperatures: readonly number[],
  withTop: boolean,
): Record<string, Handle> => {
  const { backend } = model
  const scale = backend.put(
    Float32Array.from(temperatures, (t) => 1 / t),
    [temperatures.length, 1],
  )
  const program = packed ? packedLogits(model) : plainLogits(model)
  const outputs = backend.run(program, { ...outerPart(model).handles, h, scale })
  backend.free([scale])
  return withTop ? { ...outputs, ...backend.run(topProgram(model), { logits: outputs.logits }) } : outputs
}

/** Lanes of the widest vector instructions, in float32. */
const lanes = 16

/**
 * log of [R]. The engine takes the logarithm of what fills a vector otherwise than that of the rest, so that the last bit would depend on
 * the number of rows: here each row fills a vector.
 */
const logOfRows = (x: Tensor): Tensor =>
  x.reshape(['R', 1]).broadcastTo(['R', lanes]).log().slice(1, 0, 1).reshape(['R'])

/** All in one program, since a second run would have to wake the engine's threads again. */
const trace = (model: Model, scope: Scope) => {
  const l = logits(scope, input('h', ['R', model.config.hidden_size]), model.architecture.head(model.config))
  const most = l.amax(-1, true)
  const below = l.sub(most)
  const V = model.config.vocab_size
  const count = Math.ceil(V / blockSize)
  const weights = below.mul(input('scale', ['R', 1])).exp()
  const padded = V % blockSize ? weights.pad(1, 0, count * blockSize - V) : weights
  return {
    logits: l,
    first: l.argmax(),
    most: most.reshape(['R']),
    spread: logOfRows(below.exp().sum(-1)),
    blocks: padded.reshape(['R', count, blockSize]).sum(-1),
  }
}

const topProgram = (model: Model) => {
  const V = model.config.vocab_size
  return executable(model, `top ${V}`, () => {
    const l = input('logits', ['R', V])
    const topIds = l.topIndex(topWidth(V))
    return compileProgram('top', { topIds, top: l.takeAlong(topIds) })
  })
}

const plainLogits = (model: Model) => {
  const outer = outerPart(model)
  return executable(model, `sampled logits ${outer.signature}`, () =>
    compileProgram('logits', trace(model, scopeOf(outer))),
  )
}

/** With the weight as a constant of the program, in 8 bits where the blocks are quantized. */
const packedLogits = (model: Model) => {
  const { shapes, scalings, int8, signature, handles } = outerPart(model)
  const { weight, module } = model.architecture.head(model.config)
  const how = headQuantization(model, weight)
  const packed = [weight, `${module}.weight`].flatMap((name) => [codesOf(name), scalesOf(name)])
  let made: Handles = {}
  const build = () => {
    const quantized = new Map(how && [[weight, how]])
    const isConstant = (name: string) =>
      packed.includes(name) || (name === weight && fitsProgram(handles[weight].shape))
    const scope = makeScope(shapes, { scalings, quantized, int8, rounded: true })
    return compileProgram('logits', trace(model, scope), isConstant)
  }
  const constants = () => {
    made = how ? quantizeOnBackend(model, weight, how) : {}
    return { ...handles, ...made }
  }
  const program = executable(model, `packed logits ${signature}`, build, constants)
  model.backend.free(Object.values(made))
  return program
}
