/**
 * The language-model head on a chunk of hidden states. Its gradient needs no one-hot matrix of the vocabulary: with l
 * = h E' and p = softmax(l), log p(y) has d h = E[y] - p E, and d E = h at row y - p' h.
 */
import { iota, scalar, type Tensor } from '../tensor/tensor.ts'
import { int8Head } from './int8.ts'
import { loraUpdate } from './linear.ts'
import type { Scope } from './scope.ts'

export type HeadOptions = {
  /** Name of the weight [V, C]. */
  weight: string
  /** The module that LoRA and a bias know it by, also where its weight is the embedding's. */
  module: string
  /** Gemma 2: a logit l becomes cap * tanh(l / cap). */
  softcap?: number
  /** Share of the target's probability spread evenly over the vocabulary. */
  labelSmoothing?: number
  /** Logits are divided by it. */
  temperature?: number
}

const product = (p: Scope, h: Tensor, weight: string, module: string): Tensor => {
  // Codes of the head are under its module's name, also where the weight is the embedding's, which stays in fp32
  const whole = p.int8(`${module}.weight`)
  if (whole) return int8Head(h, whole)
  const rounded = p.quantized(weight)
  return rounded ? h.matmulQuantized(rounded) : h.matmul(p.get(weight), { transB: true })
}

/** [R, V] of hidden states [R, C]. */
export const logits = (p: Scope, h: Tensor, { weight, module, softcap, temperature }: HeadOptions): Tensor => {
  const lora = p.lora(module)
  const plain = product(p, h, weight, module)
  const biased = p.has(`${module}.bias`) ? plain.add(p.get(`${module}.bias`)) : plain
  const full = lora ? biased.add(loraUpdate(lora, h)) : biased
  const capped = softcap ? full.div(softcap).tanh().mul(softcap) : full
  return temperature && temperature !== 1 ? capped.div(temperature) : capped
}

/** Log-probabilities of labels and other statistics of the predicted distributions, each [R]. */
export type TokenStats = {
  logps: Tensor
  /** In nats. */
  entropy: Tensor
  /** 1 where the label is the likeliest token. */
  correct: Tensor
  meanLogit: Tensor
  /** log sum_v p(v)^2, for WPO's weights. */
  logSquares: Tensor
}

/** @param h [R, C]  @param labels [R] i64 */
export const tokenStats = (p: Scope, h: Tensor, labels: Tensor, options: HeadOptions): TokenStats => {
  const l = logits(p, h, options)
  const [R, V] = l.shape
  const top = l.amax(-1, true)
  const shifted = l.sub(top)
  const e = shifted.exp()
  const sum = e.sum(-1, true)
  const column = labels.reshape([R, 1])
  const label = shifted.takeAlong(column)
  const smoothing = options.labelSmoothing ?? 0
  const mean = shifted.mean(-1, true)
  const target = smoothing ? label.mul(1 - smoothing).add(mean.mul(smoothing)) : label
  const value = target.sub(sum.log()).reshape([R])
  const plain =
    !options.softcap &&
    !smoothing &&
    !(options.temperature && options.temperature !== 1) &&
    !p.lora(options.module) &&
    !p.has(`${options.module}.bias`) &&
    !p.int8(`${options.module}.weight`)
  const rule = plain ? directRule(p.get(options.weight), h, labels, e, sum) : undefined
  const logps = rule
    ? value.withGrad([h, p.get(options.weight)], rule)
    : value.withGrad([l], (dy) => [dy.reshape([R, 1]).mul(oneHot(column, V as number, smoothing).sub(e.div(sum)))])
  const flat = (x: Tensor) => x.reshape([R])
  return {
    logps,
    entropy: flat(sum.log().sub(e.mul(shifted).sum(-1, true).div(sum))),
    correct: flat(label.ge(0).cast('f32')),
    meanLogit: flat(mean.add(top)),
    logSquares: flat(e.square().sum(-1, true).log().sub(sum.log().mul(2))),
  }
}

const directRule = (E: Tensor, h: Tensor, labels: Tensor, e: Tensor, sum: Tensor) => (dy: Tensor) => {
  const w = dy.reshape([dy.shape[0], 1])
  const share = w.div(sum)
  const dh = E.gather(labels).mul(w).sub(e.matmul(E).mul(share))
  const dE = w
    .mul(h)
    .scatterAdd(labels, E.shape[0])
    .sub(e.matmul(h.mul(share), { transA: true }))
  return [dh, dE]
}

const oneHot = (column: Tensor, V: number, smoothing: number): Tensor =>
  iota(V)
    .eq(column)
    .where(scalar(1 - smoothing + smoothing / V), smoothing / V)
