/**
 * The score head, forward and backward: from the targets' normed hidden states to scores and back. It is a few rows,
 * so all targets go in one run; the language head is not computed.
 */
import { scoreWeight } from '../models/architecture.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { vjp } from '../tensor/grad.ts'
import { input } from '../tensor/tensor.ts'
import { assert } from '../util/fault.ts'
import { executable, type Model } from './model.ts'
import { accumulated, accumulators, type Gradients } from './stack.ts'

/** Outputs of the model's score head. */
export const scoreCount = (model: Model): number => {
  const weight = model.params.get(scoreWeight)
  assert(weight, 'a model without a score head was asked for scores')
  return weight.shape[0]
}

const trace = (model: Model) => {
  const C = model.config.hidden_size
  const h = input('h', ['M', C])
  const W = input(scoreWeight, [scoreCount(model), C])
  return { h, W, scores: h.matmul(W, { transB: true }) }
}

const weightOf = (model: Model): Handles => ({ [scoreWeight]: model.params.get(scoreWeight)! })

/** Scores [M, num_labels] of normed hidden states [M, C], into a given handle or a new one. */
export const scorePass = (model: Model, h: Handle, into?: Handle): Handle => {
  const program = executable(model, `scores ${scoreCount(model)}`, () =>
    compileProgram('scores', { scores: trace(model).scores }),
  )
  return model.backend.run(program, { ...weightOf(model), h }, into && { scores: into }).scores
}

/**
 * d h [M, C] of d scores [M, num_labels], added to `dh` where there is one; adds the gradient of a trained head.
 * Frees `dh`.
 */
export const scoreBackward = (
  model: Model,
  h: Handle,
  dScores: Handle,
  gradients: Gradients,
  dh: Handle | undefined,
): Handle => {
  const trained = gradients.has(scoreWeight) ? [scoreWeight] : []
  const program = executable(model, `scoresBackward ${scoreCount(model)} ${trained} ${dh !== undefined}`, () => {
    const { h: x, W, scores } = trace(model)
    const [own, ...dw] = vjp([scores], [input('dScores', scores.shape)], [x, ...trained.map(() => W)])
    const total = dh ? own.add(input('dh', x.shape)) : own
    return compileProgram('scoresBackward', { total, ...accumulated(trained, dw) })
  })
  const sums = accumulators(trained, gradients)
  const feeds = { ...weightOf(model), ...sums.feeds, h, dScores, ...(dh && { dh }) }
  const { total } = model.backend.run(program, feeds, sums.into)
  if (dh) model.backend.free([dh])
  return total
}
