/**
 * The preference objective: a weighted sum of losses on pairs or ranked lists, averaged over the prompts of a batch.
 * Lists of any length are padded to K columns, [B, K]; for losses on pairs column 0 is the chosen response.
 */
import { type Tensor, zeros } from '../tensor/tensor.ts'
import { badInput } from '../util/fault.ts'
import type { Objective, Window } from './objective.ts'
import type { Ties } from './plackettLuce.ts'
import {
  type LossOptions,
  logOddsRatio,
  type PreferenceLoss,
  preferenceLosses,
  preferenceLossNames,
  type Ranking,
  type ResponseLogps,
  shaped,
} from './preferenceLosses.ts'
import { rankedMetrics } from './rankedMetrics.ts'

/** The divergence from the reference model that a loss of the DPO family limits. */
export type FDivergence = 'reverse_kl' | 'forward_kl' | 'js_divergence' | 'alpha_divergence'

/** A loss with its weight in the sum. */
export type LossSpec = {
  /** By its name in `preferenceLosses`. */
  name: PreferenceLoss
  /** Factor of this loss. */
  weight: number
}

/** Settings of the losses; each reads its own. */
export type PreferenceOptions = {
  /** Factor of the rewards; a larger one keeps the policy nearer to the reference model. */
  beta: number
  /** eps of sigmoid, sigmoid_norm, exo_pair (1e-3 where it is left out), robust, aot, aot_unpaired, cpo and simpo; others refuse it. */
  labelSmoothing?: number
  /** 0.5 */
  simpoGamma?: number
  /** Weight of the chosen's negative log-likelihood in cpo (1 where it is left out) and simpo (0; TRL adds it there). */
  cpoAlpha?: number
  /** AlphaPO's shape of cpo's and simpo's rewards; 0 leaves them as they are. */
  alpha?: number
  /** reverse_kl */
  fDivergence?: FDivergence
  /** Order of the alpha divergence, 0.5. */
  fAlpha?: number
  /** 0.05 */
  discopopTau?: number
  /** WPO: weighs each pair by its probability under the policy (arXiv 2406.11827, eq. 2). */
  wpo?: boolean
  /** marginal */
  ties?: Ties
  /** Whether refLogps are read; false scores responses by the policy alone. By default: if any loss needs them. */
  reference?: boolean
}

/** What the losses read of B prompts with up to K responses each, the best first. */
export type PreferenceBatch = {
  /** [B, K] log-prob sums under the policy. */
  logps: Tensor
  /** [B, K] the same under the reference model. */
  refLogps?: Tensor
  /** [B, K] f32 token counts. */
  lengths: Tensor
  /** [B, K] f32: 1 is best, equal ranks tie, 0 is no response (padding), -1 is unranked. */
  ranks: Tensor
  /** [B] P(the chosen is better), for losses on pairs. */
  prob?: Tensor
  /** [B] of the prompt: where they are given, ORPO's likelihood covers the prompt too, as TRL's does. */
  promptLogps?: Tensor
  /** [B] f32 token counts of the prompts, beside `promptLogps`. */
  promptLengths?: Tensor
  /** [B, K] mean over tokens of log p - log sum_v p_v^2. */
  wpo?: Tensor
  /** Where a batch is computed in parts: which rows this part holds. */
  window?: Window
}

/**
 * The mean over B of sum_i weight_i loss_i, and the metrics rewards/{chosen,rejected,accuracies,margins} and
 * logps/{chosen,rejected}, nll_loss where the likelihood of the chosen is part of it, log_odds_{ratio,chosen} of ORPO.
 * Rewards and logps are those of the first loss.
 * @throws Fault for options that a loss does not take, and for batches that it cannot compare
 */
export const preferenceLoss = (specs: readonly LossSpec[], options: PreferenceOptions) => {
  const o = { simpoGamma: 0.5, alpha: 0, discopopTau: 0.05, ties: 'marginal' as const, ...defined(options) }
  checkOptions(specs, o)
  const reference = o.reference ?? specs.some(({ name }) => preferenceLosses[name].reference)
  return (batch: PreferenceBatch): Objective => {
    checkBatch(specs, batch, reference)
    const all = responses(batch, reference, o)
    const each = specs.map((spec) => weighted(spec, all, batch, o)).filter((loss) => loss !== undefined)
    const likelihoods = specs.map((spec) => likelihood(spec, all, batch, o)).filter((nll) => nll !== undefined)
    const w = o.wpo ? wpoWeights(batch) : undefined
    const rows = each.map((loss) => share(w ? loss.mul(w) : loss, batch.window))
    const nlls = likelihoods.map(({ weight, nll }) => nll.mul(weight)).map((nll) => (w ? nll.mul(w.mean()) : nll))
    return {
      loss: [...rows, ...nlls].reduce((a, b) => a.add(b)),
      metrics: metrics(specs, all, batch, { ...o, reference }, likelihoods),
    }
  }
}

type Options = LossOptions & PreferenceOptions

/** Without the keys whose value is undefined, so that they do not hide defaults. */
const defined = (options: PreferenceOptions): PreferenceOptions & Pick<LossOptions, 'labelSmoothing' | 'cpoAlpha'> => ({
  labelSmoothing: undefined,
  cpoAlpha: undefined,
  ...(Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as PreferenceOptions),
})

/** Of all responses, [B, K]. */
const responses = ({ logps, refLogps, lengths }: PreferenceBatch, reference: boolean, o: Options): ResponseLogps => {
  const ratio = reference ? logps.sub(refLogps!) : logps
  return {
    logp: logps,
    refLogp: reference ? refLogps! : zeros(logps.shape),
    ratio,
    score: divergence(ratio, o.fDivergence ?? 'reverse_kl', o.fAlpha ?? 0.5),
    length: lengths.max(1),
  }
}

/** exp() stays finite in f32. */
const largest = 80

/** f'(pi / ref) of the log-ratio, up to a constant (arXiv 2309.16240, table 1). */
const divergence = (x: Tensor, kind: FDivergence, alpha: number): Tensor => {
  const exp = (y: Tensor) => y.min(largest).exp()
  if (kind === 'forward_kl') return exp(x.neg()).neg().add(1)
  if (kind === 'js_divergence') return x.logSigmoid().add(Math.LN2)
  if (kind === 'reverse_kl' || Math.abs(alpha - 1) < 1e-6) return x
  return exp(x.mul(alpha - 1))
    .sub(1)
    .div(alpha - 1)
}

/** Column k of each field, [B]. */
const response = (all: ResponseLogps, k: number): ResponseLogps => {
  const column = (x: Tensor) => x.slice(1, k, k + 1).reshape([x.shape[0]])
  return {
    logp: column(all.logp),
    refLogp: column(all.refLogp),
    ratio: column(all.ratio),
    score: column(all.score),
    length: column(all.length),
  }
}

/** weight loss_b [B]; with `prob`, prob l(c, r) + (1 - prob) l(r, c). */
const weighted = ({ name, weight }: LossSpec, all: ResponseLogps, { ranks, prob }: PreferenceBatch, o: Options) => {
  const { loss, kind } = preferenceLosses[name]
  if (!loss) return undefined
  const list: Ranking = { scores: all.score.mul(o.beta), ranks }
  if (kind === 'list') return loss(all, all, o, list).mul(weight)
  const [c, r] = [response(all, 0), response(all, 1)]
  const right = loss(c, r, o, list)
  if (!prob) return right.mul(weight)
  const wrong = loss(r, c, o, list)
  return wrong.add(right.sub(wrong).mul(prob)).mul(weight)
}

/** `nll`: -sum log pi_c / sum |y_c| over the batch, or its share of the window's; `mean`: over the batch. */
const likelihood = ({ name, weight }: LossSpec, all: ResponseLogps, batch: PreferenceBatch, o: Options) => {
  const nllWeight = preferenceLosses[name].nll?.(o) ?? 0
  if (nllWeight === 0) return undefined
  const c = response(all, 0)
  const prompts = name === 'orpo' && batch.promptLogps && batch.promptLengths
  const logp = prompts ? c.logp.add(batch.promptLogps!) : c.logp
  const tokens = (prompts ? c.length.add(batch.promptLengths!) : c.length).sum()
  const sum = logp.sum().neg()
  return { weight: weight * nllWeight, nll: sum.div(batch.window?.tokens ?? tokens), mean: sum.div(tokens) }
}

const share = (x: Tensor, window: Window | undefined) => (window ? x.sum().div(window.rows) : x.mean())

/** [B]: the product of the responses' weights, without a gradient. */
const wpoWeights = ({ wpo, ranks }: PreferenceBatch) => ranks.eq(0).where(0, wpo!).sum(-1).exp().stopGradient()

const metrics = (
  [first, ...rest]: readonly LossSpec[],
  all: ResponseLogps,
  { ranks }: PreferenceBatch,
  o: Options,
  likelihoods: readonly { mean: Tensor }[],
): Objective['metrics'] => {
  const { referenceFree: own } = preferenceLosses[first.name]
  const logps = own === 'mean' ? all.logp.div(all.length) : all.logp
  const rewards = (own ? shaped(logps, o.alpha) : all.ratio).mul(o.beta)
  const odds = [first, ...rest].some(({ name }) => name === 'orpo') && logOddsRatio(response(all, 0), response(all, 1))
  return {
    ...rankedMetrics(rewards, logps, ranks, own || !o.reference ? 0 : o.beta),
    ...(likelihoods.length > 0 && { nll_loss: likelihoods[0].mean }),
    ...(odds && { log_odds_ratio: odds.logSigmoid().mean(), log_odds_chosen: odds.mean() }),
  }
}

const refuse = (message: string, flag: string) => badInput('bad-flag', message, { flag })

const smoothing = preferenceLossNames.filter((name) => preferenceLosses[name].usesLabelSmoothing)

const checkOptions = (specs: readonly LossSpec[], { labelSmoothing: eps, fDivergence, wpo }: PreferenceOptions) => {
  if (specs.length === 0) throw refuse('names no loss', '--loss')
  for (const { name } of specs) {
    const { kind, usesDivergence: scored, usesLabelSmoothing: smooths } = preferenceLosses[name]
    if (eps !== undefined && !(eps >= 0 && eps <= 1)) throw refuse(`${eps} is not between 0 and 1`, '--label-smoothing')
    if (eps && !smooths && kind !== 'likelihood')
      throw refuse(`${name} is not defined with label smoothing; ${smoothing.join(', ')} are`, '--label-smoothing')
    if (name === 'exo_pair' && eps !== undefined && !(eps > 0 && eps < 1))
      throw refuse(`exo_pair needs a value between 0 and 1, not ${eps}; leave it out for 0.001`, '--label-smoothing')
    if (name === 'robust' && eps !== undefined && eps >= 0.5)
      throw refuse(`robust needs a value below 0.5, not ${eps}`, '--label-smoothing')
    if (fDivergence && fDivergence !== 'reverse_kl' && !scored && kind !== 'likelihood')
      throw refuse(`${fDivergence} does not go with ${name}; leave one of them out`, '--f-divergence')
    if (wpo && kind === 'sorted') throw refuse(`${name} mixes the pairs of a batch, so none has a weight`, '--wpo')
  }
}

const checkBatch = (specs: readonly LossSpec[], batch: PreferenceBatch, reference: boolean) => {
  const K = batch.logps.shape[1]
  if (reference && !batch.refLogps) throw refuse('needs log-probs of a reference model', '--loss')
  checkRows(specs, { widest: typeof K === 'number' ? K : 2, probable: batch.prob !== undefined })
}

/**
 * Throws a Fault where the losses cannot compare such rows.
 * @param specs the losses
 * @param rows widest: the most responses of a row; probable: whether any row has a `prob`
 * @param named what messages call the rows
 */
export const checkRows = (
  specs: readonly LossSpec[],
  rows: {
    /** The most responses of a row. */
    widest: number
    /** Whether any row has a `prob`. */
    probable: boolean
  },
  named: 'rows' | 'held-out rows' = 'rows',
) => {
  for (const { name } of specs) {
    const { kind } = preferenceLosses[name]
    if (kind !== 'list' && kind !== 'likelihood' && rows.widest !== 2)
      throw refuse(`${name} compares pairs, and ${named} hold ${rows.widest} responses; use plackett-luce`, '--loss')
    if (rows.probable && (kind === 'sorted' || kind === 'list'))
      throw refuse(`${name} cannot use ${named} with "prob"; use a loss on single pairs, such as sigmoid`, '--loss')
  }
}
