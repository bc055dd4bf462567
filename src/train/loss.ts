/**
 * From the targets' log-probabilities to the loss: a small program of its own, traced from a pure objective.
 * It takes the statistics of all M targets and the batch's own arrays, and gives the loss, its gradient by each
 * target's log-probability, and the metrics in one vector.
 */
import type { Objective } from '../objectives/objective.ts'
import { compileProgram } from '../onnx/model.ts'
import type { StatName } from '../passes/head.ts'
import { executable, type Model } from '../passes/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import type { Shape } from '../tensor/dim.ts'
import { grad } from '../tensor/grad.ts'
import type { DType } from '../tensor/primitives.ts'
import { concat, input, type Tensor } from '../tensor/tensor.ts'

/** What an objective of a recipe may read: target statistics [M], and the arrays that the batch was given. */
export type LossInputs = Record<StatName, Tensor> & { array(name: string, shape: Shape, dtype?: DType): Tensor }

export type LossFunction = {
  /** Programs are kept by it: one name, one trace. */
  name: string
  stats: readonly StatName[]
  trace(inputs: LossInputs): Objective
}

/** An array of the batch, row-major. */
export type BatchArray = { values: Float32Array | BigInt64Array; shape: readonly number[] }

const lossProgram = (model: Model, loss: LossFunction) =>
  executable(model, `loss ${loss.name}`, () => {
    const stat = (name: string) => input(name, ['M'])
    const stats = {
      logps: stat('logps'),
      entropy: stat('entropy'),
      correct: stat('correct'),
      meanLogit: stat('meanLogit'),
      logSquares: stat('logSquares'),
    }
    const { loss: value, metrics } = loss.trace({ ...stats, array: input })
    const names = Object.keys(metrics)
    const vector = concat(
      [value, ...names.map((name) => metrics[name])].map((x) => x.stopGradient().reshape([1])),
      0,
    )
    return compileProgram(JSON.stringify(names), { scales: grad(value, [stats.logps])[0], vector })
  })

export type LossResult = { scales: Handle; vector: Handle; names: string[] }

/** @returns `scales` [M], d loss / d logps, and `vector`: the loss, then the metrics by `names` */
export const runLoss = (model: Model, loss: LossFunction, stats: Handles, arrays: Handles): LossResult => {
  const program = lossProgram(model, loss)
  const { scales, vector } = model.backend.run(program, { ...stats, ...arrays })
  return { scales, vector, names: JSON.parse(program.program.name) as string[] }
}
