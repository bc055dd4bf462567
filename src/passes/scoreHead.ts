/**
 * The score head of a reward model or of a pair ranker, forward and backward: from the targets' normed hidden states to scores
 * and back. It is a few rows, so all targets go in one run; the language head is not computed.
 */
import { scoreWeight } from '../models/architecture.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { vjp } from '../tensor/grad.ts'
import { input } from '../tensor/tensor.ts'
import { assert } from '../util/fault.ts'
import { executable, type Model, outerPart, scopeOf } from './model.ts'
import { accumulated, accumulators, type Gradients } from './stack.ts'

/** Outputs of the model's score head. */
export const scoreCount = (model: Model): number => {
  const { pairs } = model.architecture
  if (pairs) return pairs.tasks(model.config)
  const weight = model.params.get(scoreWeight)
  assert(weight, 'a model without a score head was asked for scores')
  return weight.shape[0]
}

const weightNames = ({ architecture: { pairs } }: Model): readonly string[] => pairs?.weights ?? [scoreWeight]

const trace = (model: Model) => {
  const { pairs } = model.architecture
  const scope = scopeOf(outerPart(model))
  const h = input('h', ['M', model.config.hidden_size])
  const scores = pairs ? pairs.scores(scope, h) : h.matmul(scope.get(scoreWeight), { transB: true })
  return { h, scope, scores }
}

const weightsOf = (model: Model): Handles =>
  Object.fromEntries(weightNames(model).map((name) => [name, model.params.get(name)!]))

/** Scores [M, num_labels] of normed hidden states [M, C], into a given handle or a new one. */
export const scorePass = (model: Model, h: Handle, into?: Handle): Handle => {
  const program = executable(model, `scores ${scoreCount(model)}`, () =>
    compileProgram('scores', { scores: trace(model).scores }),
  )
  return model.backend.run(program, { ...weightsOf(model), h }, into && { scores: into }).scores
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
  const trained = weightNames(model).filter((name) => gradients.has(name))
  const program = executable(model, `scoresBackward ${scoreCount(model)} ${trained} ${dh !== undefined}`, () => {
    const { h: x, scope, scores } = trace(model)
    const [own, ...dw] = vjp([scores], [input('dScores', scores.shape)], [x, ...trained.map(scope.get)])
    const total = dh ? own.add(input('dh', x.shape)) : own
    return compileProgram('scoresBackward', { total, ...accumulated(trained, dw) })
  })
  const sums = accumulators(trained, gradients)
  const feeds = { ...weightsOf(model), ...sums.feeds, h, dScores, ...(dh && { dh }) }
  const { total } = model.backend.run(program, feeds, sums.into)
  if (dh) model.backend.free([dh])
  return total
}
