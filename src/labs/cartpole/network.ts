/**
 * A multilayer perceptron 4-128-K with ReLU, and its gradient, written out on flat arrays. It does not use the engine: an
 * action takes some 800 multiplications, less than a microsecond, while one run of an ONNX session takes seven microseconds
 * before it multiplies anything. The tests compare the gradient with the engine's own `grad` and with finite differences.
 */
import { fillUniform } from '../../util/rng.ts'
import { stateSize } from './env.ts'

export const hiddenSize = 128

/** All weights in one array, in PyTorch's order: [128, 4] weights, [128] biases, [K, 128] weights, [K] biases. */
export type Network = { outputs: number; weights: Float64Array }

const H = hiddenSize
const D = stateSize
const biasAt = D * H
const headAt = biasAt + H

/** Random weights as PyTorch's `nn.Linear` starts with: uniform in [-1, 1) / sqrt(fan in). */
export const initNetwork = (outputs: number, seed: number, stream: number): Network => {
  const draw = (length: number, fanIn: number, substream: number) =>
    fillUniform(new Float32Array(length), { seed, stream, substream }, -1 / Math.sqrt(fanIn), 1 / Math.sqrt(fanIn))
  const weights = new Float64Array(headAt + outputs * H + outputs)
  weights.set(draw(headAt, D, 0))
  weights.set(draw(outputs * H + outputs, H, 1), headAt)
  return { outputs, weights }
}

/**
 * Computes the outputs for one state.
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
 * Adds d loss / d weights of one state to `gradient`. `hidden` is what `forward` wrote for that state.
 * @param dOut [K] d loss / d out
 */
export const addGradient = (
  { outputs, weights }: Network,
  states: Float64Array,
  row: number,
  hidden: Float64Array,
  dOut: Float64Array,
  gradient: Float64Array,
) => {
  const at = D * row
  const [a, b, c, d] = [states[at], states[at + 1], states[at + 2], states[at + 3]]
  for (let k = 0; k < outputs; k++) gradient[headAt + outputs * H + k] += dOut[k]
  for (let j = 0, w = 0; j < H; j++, w += D) {
    const h = hidden[j]
    // A unit that ReLU set to 0 has no gradient
    if (h === 0) continue
    let dHidden = 0
    for (let k = 0, v = headAt + j; k < outputs; k++, v += H) {
      dHidden += dOut[k] * weights[v]
      gradient[v] += dOut[k] * h
    }
    gradient[w] += dHidden * a
    gradient[w + 1] += dHidden * b
    gradient[w + 2] += dHidden * c
    gradient[w + 3] += dHidden * d
    gradient[biasAt + j] += dHidden
  }
}
