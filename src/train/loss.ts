/**
 * From the statistics of the targets to the loss: a program of its own, traced from a pure objective. Its inputs are
 * the statistics of all M targets and the arrays of the batch; its outputs the loss, its gradients by
 * log-probabilities, scores and entropies, and the metrics in one vector.
 */
import type { Objective } from '../objectives/objective.ts'
import { compileProgram } from '../onnx/model.ts'
import { type DivergenceName, type DivergenceSettings, divergenceNames } from '../passes/divergenceHead.ts'
import { executable, type Model } from '../passes/model.ts'
import { scoreCount } from '../passes/scoreHead.ts'
import type { TargetStat } from '../passes/tokenStats.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import type { Shape } from '../tensor/dim.ts'
import { grad } from '../tensor/grad.ts'
import type { DType } from '../tensor/primitives.ts'
import { concat, input, type Tensor } from '../tensor/tensor.ts'

/** A statistic of each target: of the model alone, or of how it differs from a teacher. */
export type LossStat = TargetStat | DivergenceName

/** What a recipe's objective can read: the statistics it asks for, and the arrays of the batch. */
export type LossInputs = Record<LossStat, Tensor> & { array(name: string, shape: Shape, dtype?: DType): Tensor }

export type LossFunction = {
  /** The key of its compiled program: one name, one trace. */
  name: string
  stats: readonly LossStat[]
  /** What is measured where the batch has a teacher. */
  divergence?: Pick<DivergenceSettings, 'beta' | 'temperature'>
  /** Whether its gradient goes through the entropy too, for which the head runs once more. */
  entropyGradient?: boolean
  /** Whether the loss of a row depends on the other rows of the micro-batch, which then cannot be split. */
  together?: boolean
  trace(inputs: LossInputs): Objective
}

/** An array of the batch, row-major. */
export type BatchArray = { values: Float32Array | BigInt64Array; shape: readonly number[] }

/** The statistics that a loss is differentiated by. */
const differentiated = ({ stats, entropyGradient }: LossFunction) =>
  (['logps', 'scores', 'entropy', 'divergence'] as const).filter(
    (name) => stats.includes(name) && (name !== 'entropy' || entropyGradient),
  )

const lossProgram = (model: Model, loss: LossFunction) =>
  executable(model, `loss ${loss.name}`, () => {
    const stat = (name: string) => input(name, ['M'])
    const stats: Record<LossStat, Tensor> = {
      ...(Object.fromEntries(divergenceNames.map((name) => [name, stat(name)])) as Record<DivergenceName, Tensor>),
      logps: stat('logps'),
      entropy: stat('entropy'),
      correct: stat('correct'),
      meanLogit: stat('meanLogit'),
      logSquares: stat('logSquares'),
      scores: input('scores', ['M', loss.stats.includes('scores') ? scoreCount(model) : 1]),
    }
    const { loss: value, metrics } = loss.trace({ ...stats, array: input })
    const names = Object.keys(metrics)
    const vector = concat(
      [value, ...names.map((name) => metrics[name])].map((x) => x.stopGradient().reshape([1])),
      0,
    )
    const by = differentiated(loss)
    const slopes = grad(
      value,
      by.map((name) => stats[name]),
    )
    const outputs = Object.fromEntries(by.map((name, i) => [`by ${name}`, slopes[i]]))
    return compileProgram(JSON.stringify(names), { ...outputs, vector })
  })

export type LossResult = {
  /** d loss / d logps, d entropy and d divergence [M], d loss / d scores [M, num_labels], where the loss asks for them. */
  slopes: { logps?: Handle; scores?: Handle; entropy?: Handle; divergence?: Handle }
  /** The loss, then the metrics by `names`. */
  vector: Handle
  names: string[]
}

export const runLoss = (model: Model, loss: LossFunction, stats: Handles, arrays: Handles): LossResult => {
  const program = lossProgram(model, loss)
  const out = model.backend.run(program, { ...stats, ...arrays })
  const by = (name: LossStat) => out[`by ${name}`]
  const slopes = { logps: by('logps'), scores: by('scores'), entropy: by('entropy'), divergence: by('divergence') }
  return { slopes, vector: out.vector, names: JSON.parse(program.program.name) as string[] }
}
