/** Each method's objective, traced from what a batch holds: token statistics to response sums to the loss. */
import { type KtoOptions, ktoLoss } from '../../objectives/kto.ts'
import type { Objective } from '../../objectives/objective.ts'
import { type LossSpec, type PreferenceOptions, preferenceLoss } from '../../objectives/preference.ts'
import { preferenceLosses } from '../../objectives/preferenceLosses.ts'
import { rankedMetrics } from '../../objectives/rankedMetrics.ts'
import { type SftLoss, sftLoss } from '../../objectives/sft.ts'
import { tspin } from '../../objectives/tspin.ts'
import { addDims, type Dim, mulDims } from '../../tensor/dim.ts'
import { scalar, sizeTensor, type Tensor } from '../../tensor/tensor.ts'
import type { LossFunction, LossInputs } from '../../train/loss.ts'

const ones = (x: Tensor) => scalar(1).broadcastTo(x.shape)

/** The mean of a measure over all targets. */
const tokenMean = (x: Tensor, among: Tensor = ones(x)) => x.mul(among).sum().div(among.sum())

export const sftObjective = (lossType: SftLoss): LossFunction => ({
  name: `sft ${lossType}`,
  stats: ['logps', 'entropy', 'correct'],
  trace: ({ logps, entropy, correct, array }) => {
    const { loss } = sftLoss({ logps, weights: ones(logps), numItems: array('numItems', []) }, { lossType })
    return { loss, metrics: { entropy: tokenMean(entropy), mean_token_accuracy: tokenMean(correct) } }
  },
})

/** Sums of a measure over the targets of each response, [B, K], and of each prompt, [B]. */
const responseSums = (x: Tensor, sequence: Tensor, K: Dim) => {
  const cells = mulDims('B', K)
  const all = x.scatterAdd(sequence, addDims(cells, 'B'))
  return { responses: all.slice(0, 0, cells).reshape(['B', K]), prompts: all.slice(0, cells, addDims(cells, 'B')) }
}

/** What a custom loss gets: response sums and what the batch knows of them. */
export type RankedInputs = {
  /** [B, K] sums of log-probs under the policy and the reference; best response first. */
  logps: Tensor
  refLogps: Tensor | undefined
  /** [B, K] tokens; ranks: 1 best, 0 no response, -1 unranked. */
  lengths: Tensor
  ranks: Tensor
}
/** A mean over the rows it gets; micro-batches of one step count by their rows. */
export type CustomLoss = (inputs: RankedInputs) => Objective

export type RankedSettings = {
  losses: readonly LossSpec[]
  options: PreferenceOptions
  reference: boolean
  /** Rows are lists of any length; else pairs. */
  lists: boolean
  ldAlpha?: number
  prob: boolean
  prompts: boolean
  custom?: CustomLoss
  /** T-SPIN instead, with this weight of the historical advantage: ranks say who answered. */
  historic?: number
}

/** A custom loss is logged like the others; what it measures itself goes first. */
const withRankedMetrics = ({ loss, metrics }: Objective, inputs: RankedInputs, beta: number): Objective => {
  const { logps, refLogps, ranks } = inputs
  const rewards = (refLogps ? logps.sub(refLogps) : logps).mul(beta)
  return { loss, metrics: { ...rankedMetrics(rewards, logps, ranks, refLogps ? beta : 0), ...metrics } }
}

const rankedObjectiveOf = (
  s: RankedSettings,
  inputs: RankedInputs,
  sums: ReturnType<typeof responseSums>,
  { logps, logSquares, array }: LossInputs,
): Objective => {
  const { lengths } = inputs
  const window = { rows: array('windowRows', []), tokens: array('windowTokens', []) }
  const { beta } = s.options
  if (s.historic !== undefined)
    return withRankedMetrics(tspin({ ...inputs, window }, { alpha: beta, weight: s.historic }), inputs, beta)
  if (s.custom) {
    const { loss, metrics } = s.custom(inputs)
    const share = sizeTensor(inputs.logps.shape[0]).div(window.rows)
    return withRankedMetrics({ loss: loss.mul(share), metrics }, inputs, beta)
  }
  const K = s.lists ? 'K' : 2
  const optional = {
    ...(s.prob && { prob: array('prob', ['B']) }),
    ...(s.prompts && { promptLogps: sums.prompts, promptLengths: array('promptLengths', ['B']) }),
    ...(s.options.wpo && {
      wpo: responseSums(logps.sub(logSquares), array('sequence', ['M'], 'i64'), K).responses.div(lengths.max(1)),
    }),
  }
  return preferenceLoss(s.losses, { ...s.options, reference: s.reference })({ ...inputs, ...optional, window })
}

export const rankedObjective = (s: RankedSettings): LossFunction => ({
  name: s.custom ? 'custom' : `preference ${JSON.stringify(s)}`,
  stats: ['logps', 'entropy', 'correct', 'meanLogit', ...(s.options.wpo ? (['logSquares'] as const) : [])],
  together: s.custom !== undefined || s.losses.some(({ name }) => preferenceLosses[name].kind === 'sorted'),
  trace: (given) => {
    const { array, entropy, correct, meanLogit } = given
    const K: Dim = s.lists ? 'K' : 2
    const sequence = array('sequence', ['M'], 'i64')
    const weighted = s.ldAlpha === undefined ? given.logps : given.logps.mul(array('weights', ['M']))
    const sums = responseSums(weighted, sequence, K)
    const inputs: RankedInputs = {
      logps: sums.responses,
      refLogps: s.reference ? array('refLogps', ['B', K]) : undefined,
      lengths: array('lengths', ['B', K]),
      ranks: array('ranks', ['B', K]),
    }
    const { loss, metrics } = rankedObjectiveOf(s, inputs, sums, given)
    const inReply = responseSums(ones(entropy), sequence, K).responses
    const chosen = (x: Tensor) => x.slice(1, 0, 1).sum()
    const logitSums = responseSums(meanLogit, sequence, K).responses
    const rejected = (x: Tensor) => x.sum().sub(chosen(x))
    return {
      loss,
      metrics: {
        ...metrics,
        'logits/chosen': chosen(logitSums).div(chosen(inReply)),
        'logits/rejected': rejected(logitSums).div(rejected(inReply)),
        entropy: responseSums(entropy, sequence, K).responses.sum().div(inReply.sum()),
        // Of what is to be learnt: the chosen response
        mean_token_accuracy: chosen(responseSums(correct, sequence, K).responses).div(chosen(inReply)),
      },
    }
  },
})

/** Does any of the losses read a reference? */
export const needsReference = (losses: readonly LossSpec[]) =>
  losses.some(({ name }) => preferenceLosses[name].reference)

export const ktoObjective = (options: KtoOptions): LossFunction => ({
  name: `kto ${JSON.stringify(options)}`,
  stats: ['logps', 'entropy', 'meanLogit'],
  together: true,
  trace: ({ logps, entropy, meanLogit, array }) => {
    const rotated = options.lossType === 'kto'
    const K = rotated ? 2 : 1
    const sequence = array('sequence', ['M'], 'i64')
    const column = (x: Tensor, k: number) => x.slice(1, k, k + 1).reshape(['B'])
    const own = responseSums(logps, sequence, K).responses
    const refs = array('refLogps', ['B', K])
    const labels = array('labels', ['B'])
    const kl = rotated ? { klLogps: column(own, 1).stopGradient(), refKlLogps: column(refs, 1) } : {}
    const batch = {
      logps: column(own, 0),
      refLogps: column(refs, 0),
      labels,
      ...kl,
      window: { rows: array('windowRows', []) },
    }
    const { loss, metrics } = ktoLoss(options)(batch)
    const sums = (x: Tensor) => column(responseSums(x, sequence, K).responses, 0)
    const counts = sums(ones(logps))
    const logits = sums(meanLogit)
    const over = (side: Tensor) => logits.mul(side).sum().div(counts.mul(side).sum())
    return {
      loss,
      metrics: {
        ...metrics,
        'logits/chosen': over(labels),
        'logits/rejected': over(scalar(1).sub(labels)),
        entropy: sums(entropy).sum().div(counts.sum()),
      },
    }
  },
})
