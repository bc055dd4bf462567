/**
 * A perceptron 4-128-K with ReLU, and its gradient, written out on flat arrays. Peculiar: it does not go through the
 * engine. A step of CartPole is some 800 products, less than a microsecond; a run of an ONNX session costs seven before
 * it multiplies anything, and the agent acts one step at a time. So the policy lives here, small enough to be read, and the
 * tests hold its gradient against the engine's own `grad` and against differences.
 */
import { fillUniform } from '../../util/rng.ts'
import { stateSize } from './physics.ts'

export const hiddenSize = 128

/** Weights in one array, in PyTorch's order: [128, 4] first weights, [128] biases, [K, 128] last weights, [K] biases. */
export type Network = { outputs: number; weights: Float64Array }

const H = hiddenSize
const D = stateSize
const biasAt = D * H
const headAt = biasAt + H

const weightCount = (outputs: number) => headAt + outputs * H + outputs

/** Uniform within 1/sqrt(fan in), as PyTorch's `nn.Linear` begins. */
export const initNetwork = (outputs: number, seed: number, stream: number): Network => {
  const draw = (length: number, fanIn: number, substream: number) =>
    fillUniform(new Float32Array(length), { seed, stream, substream }, -1 / Math.sqrt(fanIn), 1 / Math.sqrt(fanIn))
  const weights = new Float64Array(weightCount(outputs))
  weights.set(draw(headAt, D, 0))
  weights.set(draw(outputs * H + outputs, H, 1), headAt)
  return { outputs, weights }
}

/**
 * @param states [n, 4], of which the one at `row` is read
 * @param hidden [128] activations, written for `addGradient`
 * @param out [K], written
 */
export const forward = (
  { outputs, weights }: Network,
  states: Float64Array,
  row: number,
  hidden: Float64Array,
  out: Float64Array,
) => {
  const at = D * row
  const [a, b, c, d] = [states[at], states[at + 1], states[at + 2], states[at + 3]]
  for (let j = 0, w = 0; j < H; j++, w += D) {
    const sum = weights[biasAt + j] + weights[w] * a + weights[w + 1] * b + weights[w + 2] * c + weights[w + 3] * d
    hidden[j] = Math.max(sum, 0)
  }
  for (let k = 0; k < outputs; k++) {
    const from = headAt + k * H
    let sum = weights[headAt + outputs * H + k]
    for (let j = 0; j < H; j++) sum += weights[from + j] * hidden[j]
    out[k] = sum
  }
}

/**
 * Adds d loss / d weights of one state, whose `hidden` came from `forward`.
 * @param slope [K] d loss / d out
 */
export const addGradient = (
  { outputs, weights }: Network,
  states: Float64Array,
  row: number,
  hidden: Float64Array,
  slope: Float64Array,
  gradient: Float64Array,
) => {
  const at = D * row
  const [a, b, c, d] = [states[at], states[at + 1], states[at + 2], states[at + 3]]
  for (let k = 0; k < outputs; k++) gradient[headAt + outputs * H + k] += slope[k]
  for (let j = 0, w = 0; j < H; j++, w += D) {
    const h = hidden[j]
    // A silent unit passes nothing on, to either side
    if (h === 0) continue
    let back = 0
    for (let k = 0, v = headAt + j; k < outputs; k++, v += H) {
      back += slope[k] * weights[v]
      gradient[v] += slope[k] * h
    }
    gradient[w] += back * a
    gradient[w + 1] += back * b
    gradient[w + 2] += back * c
    gradient[w + 3] += back * d
    gradient[biasAt + j] += back
  }
}
