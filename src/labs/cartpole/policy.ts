/** A policy over two actions, given by two logits: sampling, log-probs, entropy, and their gradients with respect to the logits. */
import { fillUniform, type Stream } from '../../util/rng.ts'

/** P(action 1), which pushes the cart to the right: the sigmoid of logit 1 - logit 0. */
const probabilityOfRight = (logits: Float64Array): number => 1 / (1 + Math.exp(logits[0] - logits[1]))

/** Samples an action. @param draw gives uniform numbers in [0, 1) */
export const sampleAction = (logits: Float64Array, draw: () => number): 0 | 1 =>
  draw() < probabilityOfRight(logits) ? 1 : 0

/** log P(action): -log(1 + exp(other - own)), without overflow. */
export const logProb = (logits: Float64Array, action: number): number => {
  const gap = logits[1 - action] - logits[action]
  return -(Math.max(gap, 0) + Math.log1p(Math.exp(-Math.abs(gap))))
}

/** Adds factor * d log P(action) / d logits = factor * (onehot - p). */
export const addLogProbGradient = (logits: Float64Array, action: number, factor: number, dLogits: Float64Array) => {
  const right = probabilityOfRight(logits)
  dLogits[0] += factor * ((action === 0 ? 1 : 0) - (1 - right))
  dLogits[1] += factor * ((action === 1 ? 1 : 0) - right)
}

/** Adds factor * d entropy / d logits. For logit 1 that is p (1 - p) (logit 0 - logit 1), p = P(action 1); for logit 0 its negative. */
export const addEntropyGradient = (logits: Float64Array, factor: number, dLogits: Float64Array) => {
  const right = probabilityOfRight(logits)
  const d = factor * right * (1 - right) * (logits[0] - logits[1])
  dLogits[0] -= d
  dLogits[1] += d
}

const block = 4096

/** A function that gives uniform random numbers in [0, 1), one after the other. */
export const uniforms = ({ seed, stream }: Required<Omit<Stream, 'substream'>>): (() => number) => {
  const values = new Float32Array(block)
  let at = block
  let substream = 0
  return () => {
    if (at === block) {
      fillUniform(values, { seed, stream, substream: substream++ }, 0, 1)
      at = 0
    }
    return values[at++]
  }
}

/** d min(r A, clip(r, 1 - e, 1 + e) A) / d log r: r A, or 0 where the clipped term is the smaller one. */
export const clippedSurrogateGradient = (ratio: number, advantage: number, clip: number): number => {
  const bounded = Math.min(Math.max(ratio, 1 - clip), 1 + clip)
  return ratio * advantage <= bounded * advantage ? ratio * advantage : 0
}
