/** The objectives of SFT, distillation, DPO's family and KTO, traced from a batch: statistics of its tokens, sums over responses, the loss. */
import { type KtoOptions, ktoLoss } from '../../objectives/kto.ts'
import type { Objective } from '../../objectives/objective.ts'
import { type LossSpec, type PreferenceOptions, preferenceLoss } from '../../objectives/preference.ts'
import { type PreferenceLoss, preferenceLosses, preferenceLossNames } from '../../objectives/preferenceLosses.ts'
import { rankedMetrics } from '../../objectives/rankedMetrics.ts'
import { type SftLoss, sftLoss } from '../../objectives/sft.ts'
import { tspin } from '../../objectives/tspin.ts'
import { addDims, type Dim, mulDims } from '../../tensor/dim.ts'
import { scalar, sizeTensor, type Tensor } from '../../tensor/tensor.ts'
import type { LossFunction, LossInputs } from '../../train/loss.ts'
import { badInput } from '../../util/fault.ts'
import { nearest } from '../../util/nearest.ts'
import { quoted } from '../../util/quote.ts'

const ones = (x: Tensor) => scalar(1).broadcastTo(x.shape)

/** The mean over all targets. */
const tokenMean = (x: Tensor) => x.mul(ones(x)).sum().div(ones(x).sum())

// SFT

export const sftObjective = (lossType: SftLoss): LossFunction => ({
  name: `sft ${lossType}`,
  stats: ['logps', 'entropy', 'correct'],
  trace: ({ logps, entropy, correct, array }) => {
    const { loss } = sftLoss({ logps, weights: ones(logps), numItems: array('numItems', []) }, { lossType })
    return { loss, metrics: { entropy: tokenMean(entropy), mean_token_accuracy: tokenMean(correct) } }
  },
})

// Distillation

/**
 * The mean divergence from the teacher over all targets of the step. Numbers of the samples (`onPolicy`, `completionLength`) are
 * NaN, which is not logged, where rows are evaluated.
 */
export const distillObjective = (settings: { beta: number; temperature: number }): LossFunction => ({
  name: `distill ${JSON.stringify(settings)}`,
  stats: ['divergence', 'forwardKl', 'reverseKl', 'agreement'],
  divergence: settings,
  trace: ({ divergence, forwardKl, reverseKl, agreement, array }) => ({
    loss: divergence.sum().div(array('numItems', []).max(1)),
    metrics: {
      forward_kl: tokenMean(forwardKl),
      reverse_kl: tokenMean(reverseKl),
      agreement: tokenMean(agreement),
      on_policy: array('onPolicy', []),
      'completions/mean_length': array('completionLength', []),
    },
  }),
})

// Preferences and rankings

/** A loss by name, or several with weights: `sigmoid:0.8,sft:0.2`. */
export type PreferenceLosses = PreferenceLoss | `${PreferenceLoss}:${string}` | `${PreferenceLoss},${string}`

/** `--loss sigmoid:0.8,sft:0.2` as losses with weights. Throws Faults 'bad-flag'. */
export const parseLosses = (text: string): LossSpec[] => text.split(',').map((part) => parseLoss(part.trim()))

const parseLoss = (part: string): LossSpec => {
  const [name, weight, ...rest] = part.split(':')
  if (!(preferenceLossNames as readonly string[]).includes(name)) {
    const near = nearest(name, preferenceLossNames)
    throw badInput(
      'bad-flag',
      `${quoted(name)} is no loss${near ? `; did you mean ${near}?` : ''} Known: ${preferenceLossNames.join(', ')}`,
      { flag: '--loss' },
    )
  }
  const value = weight === undefined ? 1 : Number(weight)
  if (rest.length || !Number.isFinite(value) || weight === '')
    throw badInput('bad-flag', `${quoted(part)} is not NAME or NAME:WEIGHT`, { flag: '--loss' })
  return { name: name as PreferenceLoss, weight: value }
}

/** Whether one of the losses reads the reference model. */
export const needsReference = (losses: readonly LossSpec[]) =>
  losses.some(({ name }) => preferenceLosses[name].reference)

/** Sums of x [M] over the targets of each response, [B, K], and of each prompt, [B]. */
const responseSums = (x: Tensor, sequence: Tensor, K: Dim) => {
  const cells = mulDims('B', K)
  const all = x.scatterAdd(sequence, addDims(cells, 'B'))
  return { responses: all.slice(0, 0, cells).reshape(['B', K]), prompts: all.slice(0, cells, addDims(cells, 'B')) }
}

/** What a custom loss gets: sums over responses, and what the batch knows of them. */
export type RankedInputs = {
  /** [B, K] sums of log-probs in nats under the policy; best response first. */
  logps: Tensor
  /** [B, K] the same under the reference model, where there is one. */
  refLogps: Tensor | undefined
  /** [B, K] tokens of each response. */
  lengths: Tensor
  /** [B, K] 1 is best, equal ranks tie, 0 is no response (padding), -1 is unranked. */
  ranks: Tensor
}
/** The loss is a mean over the rows of the inputs; micro-batches of one step are weighted by their rows. */
export type CustomLoss = (inputs: RankedInputs) => Objective

export type RankedSettings = {
  losses: readonly LossSpec[]
  options: PreferenceOptions
  /** The batch has `refLogps` [B, K]. */
  reference: boolean
  /** Rows are lists of any length; else pairs. */
  lists: boolean
  /** The batch has `weights` [M] (LD-DPO). */
  ldAlpha?: number
  /** The batch has `prob` [B]: how likely the order of a pair is. */
  prob: boolean
  /** The batch's targets include the prompts (ORPO as TRL has it). */
  prompts: boolean
  /** Instead of `losses`. */
  custom?: CustomLoss
  /** T-SPIN instead of `losses`, with this weight of the historical advantage; ranks say which model a completion is from. */
  historicWeight?: number
}

/** Adds the metrics that every preference loss has; those of the loss itself take precedence. */
const withRankedMetrics = ({ loss, metrics }: Objective, inputs: RankedInputs, beta: number): Objective => {
  const { logps, refLogps, ranks } = inputs
  const rewards = (refLogps ? logps.sub(refLogps) : logps).mul(beta)
  return { loss, metrics: { ...rankedMetrics(rewards, logps, ranks, refLogps ? beta : 0), ...metrics } }
}

const rankedLoss = (
  s: RankedSettings,
  inputs: RankedInputs,
  sums: ReturnType<typeof responseSums>,
  { logps, logSquares, array }: LossInputs,
): Objective => {
  const { lengths } = inputs
  const window = { rows: array('windowRows', []), tokens: array('windowTokens', []) }
  const { beta } = s.options
  if (s.historicWeight !== undefined)
    return withRankedMetrics(tspin({ ...inputs, window }, { alpha: beta, weight: s.historicWeight }), inputs, beta)
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
  trace: (batch) => {
    const { array, entropy, correct, meanLogit } = batch
    const K: Dim = s.lists ? 'K' : 2
    const sequence = array('sequence', ['M'], 'i64')
    const weighted = s.ldAlpha === undefined ? batch.logps : batch.logps.mul(array('weights', ['M']))
    const sums = responseSums(weighted, sequence, K)
    const inputs: RankedInputs = {
      logps: sums.responses,
      refLogps: s.reference ? array('refLogps', ['B', K]) : undefined,
      lengths: array('lengths', ['B', K]),
      ranks: array('ranks', ['B', K]),
    }
    const { loss, metrics } = rankedLoss(s, inputs, sums, batch)
    const tokens = responseSums(ones(entropy), sequence, K).responses
    const chosen = (x: Tensor) => x.slice(1, 0, 1).sum()
    const logitSums = responseSums(meanLogit, sequence, K).responses
    const rejected = (x: Tensor) => x.sum().sub(chosen(x))
    return {
      loss,
      metrics: {
        ...metrics,
        'logits/chosen': chosen(logitSums).div(chosen(tokens)),
        'logits/rejected': rejected(logitSums).div(rejected(tokens)),
        entropy: responseSums(entropy, sequence, K).responses.sum().div(tokens.sum()),
        // Of the chosen response alone, since that is what is to be learnt
        mean_token_accuracy: chosen(responseSums(correct, sequence, K).responses).div(chosen(tokens)),
      },
    }
  },
})

// KTO

export const ktoObjective = (options: KtoOptions): LossFunction => ({
  name: `kto ${JSON.stringify(options)}`,
  stats: ['logps', 'entropy', 'meanLogit'],
  together: true,
  trace: ({ logps, entropy, meanLogit, array }) => {
    const rotated = options.lossType === 'kto'
    const K = rotated ? 2 : 1
    const sequence = array('sequence', ['M'], 'i64')
    const column = (x: Tensor, k: number) => x.slice(1, k, k + 1).reshape(['B'])
    const sums = responseSums(logps, sequence, K).responses
    const refSums = array('refLogps', ['B', K])
    const labels = array('labels', ['B'])
    const { loss, metrics } = ktoLoss(options)({
      logps: column(sums, 0),
      refLogps: column(refSums, 0),
      labels,
      ...(rotated && { klLogps: column(sums, 1).stopGradient(), refKlLogps: column(refSums, 1) }),
      window: { rows: array('windowRows', []) },
    })
    const ownSums = (x: Tensor) => column(responseSums(x, sequence, K).responses, 0)
    const tokens = ownSums(ones(logps))
    const logits = ownSums(meanLogit)
    const meanLogitWhere = (label: Tensor) => logits.mul(label).sum().div(tokens.mul(label).sum())
    return {
      loss,
      metrics: {
        ...metrics,
        'logits/chosen': meanLogitWhere(labels),
        'logits/rejected': meanLogitWhere(scalar(1).sub(labels)),
        entropy: ownSums(entropy).sum().div(tokens.sum()),
      },
    }
  },
})
