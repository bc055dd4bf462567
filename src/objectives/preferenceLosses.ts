/**
 * The preference losses, one row each: the formula beside the rule. c and r are the chosen and the rejected response;
 * r_k = log pi(y_k|x) - log ref(y_k|x) their log-ratios, D = f(r_c) - f(r_r) (f(x) = x but for an f-divergence), l = log
 * sigmoid, s = sigmoid, eps the label smoothing, mean a log-prob over the response's tokens. All are [B].
 */
import type { Tensor } from '../tensor/tensor.ts'
import { logOdds } from './log1mexp.ts'
import { plackettLuce, type Ties } from './plackettLuce.ts'

/** What the losses read of a response: one of each pair, [B], or of each list, [B, K]. */
export type ResponseLogps = {
  /** log pi(y|x), summed over the response. */
  logp: Tensor
  /** The same under the reference model. */
  refLogp: Tensor
  /** logp - refLogp; logp itself without a reference. */
  ratio: Tensor
  /** f(ratio). */
  score: Tensor
  /** Tokens, at least 1. */
  length: Tensor
}

/** What a list-wise loss reads: beta f(ratio) [B, K] and the ranks [B, K]. */
export type Ranking = { scores: Tensor; ranks: Tensor }

/** The options a rule may read, defaults filled in. */
export type LossOptions = {
  beta: number
  labelSmoothing: number | undefined
  simpoGamma: number
  cpoAlpha: number | undefined
  alpha: number
  discopopTau: number
  ties: Ties
}

type LossRule = {
  /** Whether refLogps are read. */
  reference: boolean
  /**
   * `pair`: a function of one pair. `sorted`: pairs of a batch mix, so they cannot be weighted one by one. `list`: any
   * number of responses. `likelihood`: cross-entropy of the chosen alone, which `nll` gives.
   */
  kind: 'pair' | 'sorted' | 'list' | 'likelihood'
  /** Whether an f-divergence changes the loss: it reads `score`. */
  usesDivergence?: boolean
  /** Whether label smoothing changes the loss. */
  usesLabelSmoothing?: boolean
  /** Losses without a reference model: whether log-prob sums or means over tokens are compared, and logged as rewards. */
  referenceFree?: 'sum' | 'mean'
  /** The weight of the chosen response's negative log-likelihood, a mean over the batch's tokens. */
  nll?: (o: LossOptions) => number
  loss?: (c: ResponseLogps, r: ResponseLogps, o: LossOptions, list: Ranking) => Tensor
}

export const preferenceLossNames = [
  'sigmoid',
  'hinge',
  'ipo',
  'sigmoid_norm',
  'exo_pair',
  'nca_pair',
  'robust',
  'bco_pair',
  'sppo_hard',
  'aot',
  'aot_unpaired',
  'apo_zero',
  'apo_down',
  'discopop',
  'sft',
  'cpo',
  'orpo',
  'simpo',
  'plackett-luce',
] as const
export type PreferenceLoss = (typeof preferenceLossNames)[number]

/** beta D */
const margin = (c: ResponseLogps, r: ResponseLogps, { beta }: LossOptions) => c.score.sub(r.score).mul(beta)

const perToken = (y: ResponseLogps) => y.score.div(y.length)

const mean = (y: ResponseLogps) => y.logp.div(y.length)

/** -(1 - eps) l(x) - eps l(-x): a label is wrong with probability eps (cDPO). */
const smoothed = (x: Tensor, { labelSmoothing: eps = 0 }: LossOptions) =>
  eps === 0
    ? x.logSigmoid().neg()
    : x
        .logSigmoid()
        .mul(eps - 1)
        .sub(x.neg().logSigmoid().mul(eps))

/** Ascending, with the gradient going back to where each value came from. */
const sorted = (x: Tensor) => x.takeAlong(x.argsort())

/** x, or AlphaPO's (1 - exp(-alpha x)) / alpha (arXiv 2501.03884, eq. 8). */
export const shaped = (x: Tensor, alpha: number) => (alpha === 0 ? x : x.mul(-alpha).exp().neg().add(1).div(alpha))

/** EXO's label smoothing must be above 0: its paper's value where none is given. */
const exoSmoothing = 1e-3

export const preferenceLosses: { [L in PreferenceLoss]: LossRule } = {
  // -(1 - eps) l(beta D) - eps l(-beta D)   (DPO, arXiv 2305.18290, eq. 7)
  sigmoid: {
    reference: true,
    kind: 'pair',
    usesDivergence: true,
    usesLabelSmoothing: true,
    loss: (c, r, o) => smoothed(margin(c, r, o), o),
  },
  // relu(1 - beta D)   (SLiC, arXiv 2305.10425)
  hinge: {
    reference: true,
    kind: 'pair',
    usesDivergence: true,
    loss: (c, r, o) => margin(c, r, o).neg().add(1).relu(),
  },
  // (f_c/|y_c| - f_r/|y_r| - 1/(2 beta))^2   (arXiv 2310.12036, eq. 17, on means)
  ipo: {
    reference: true,
    kind: 'pair',
    usesDivergence: true,
    loss: (c, r, { beta }) =>
      perToken(c)
        .sub(perToken(r))
        .sub(1 / (2 * beta))
        .square(),
  },
  // -(1 - eps) l(x) - eps l(-x),  x = beta (f_c/|y_c| - f_r/|y_r|)
  sigmoid_norm: {
    reference: true,
    kind: 'pair',
    usesDivergence: true,
    usesLabelSmoothing: true,
    loss: (c, r, o) => smoothed(perToken(c).sub(perToken(r)).mul(o.beta), o),
  },
  // KL([s(beta D), s(-beta D)] || [1 - eps, eps])   (arXiv 2402.00856, eq. 16)
  exo_pair: {
    reference: true,
    kind: 'pair',
    usesDivergence: true,
    usesLabelSmoothing: true,
    loss: (c, r, o) => {
      const [x, eps] = [margin(c, r, o), o.labelSmoothing ?? exoSmoothing]
      const part = (y: Tensor, p: number) => y.sigmoid().mul(y.logSigmoid().sub(Math.log(p)))
      return part(x, 1 - eps).add(part(x.neg(), eps))
    },
  },
  // -l(beta r_c) - l(-beta r_c)/2 - l(-beta r_r)/2   (arXiv 2402.05369)
  nca_pair: {
    reference: true,
    kind: 'pair',
    loss: (c, r, { beta }) => {
      const x = c.ratio.mul(beta)
      const pushed = x.neg().logSigmoid().add(r.ratio.mul(-beta).logSigmoid())
      return x.logSigmoid().add(pushed.mul(0.5)).neg()
    },
  },
  // [-(1 - eps) l(beta D) + eps l(-beta D)] / (1 - 2 eps)   (arXiv 2403.00409)
  robust: {
    reference: true,
    kind: 'pair',
    usesDivergence: true,
    usesLabelSmoothing: true,
    loss: (c, r, o) => {
      const [x, eps] = [margin(c, r, o), o.labelSmoothing ?? 0]
      const clean = x.logSigmoid().mul(eps - 1)
      return clean.add(x.neg().logSigmoid().mul(eps)).div(1 - 2 * eps)
    },
  },
  // -l(beta r_c) - l(-beta r_r)   (arXiv 2404.04656, without its moving shift)
  bco_pair: {
    reference: true,
    kind: 'pair',
    loss: (c, r, { beta }) => c.ratio.mul(beta).logSigmoid().add(r.ratio.mul(-beta).logSigmoid()).neg(),
  },
  // (r_c - 1/(2 beta))^2 + (r_r + 1/(2 beta))^2   (arXiv 2405.00675, eq. 4.7, P = 1)
  sppo_hard: {
    reference: true,
    kind: 'pair',
    loss: (c, r, { beta }) =>
      c.ratio
        .sub(0.5 / beta)
        .square()
        .add(r.ratio.add(0.5 / beta).square()),
  },
  // D_i = sorted(log pi_c - log pi_r)_i - sorted(log ref_c - log ref_r)_i   (arXiv 2406.05882)
  aot: {
    reference: true,
    kind: 'sorted',
    usesLabelSmoothing: true,
    loss: (c, r, o) => {
      const d = sorted(c.logp.sub(r.logp)).sub(sorted(c.refLogp.sub(r.refLogp)))
      return smoothed(d.mul(o.beta), o)
    },
  },
  // D_i = sorted(r_c)_i - sorted(r_r)_i
  aot_unpaired: {
    reference: true,
    kind: 'sorted',
    usesLabelSmoothing: true,
    loss: (c, r, o) => smoothed(sorted(c.ratio).sub(sorted(r.ratio)).mul(o.beta), o),
  },
  // 1 - s(beta r_c) + s(beta r_r)   (arXiv 2408.06266, eq. 7)
  apo_zero: {
    reference: true,
    kind: 'pair',
    loss: (c, r, { beta }) => c.ratio.mul(-beta).sigmoid().add(r.ratio.mul(beta).sigmoid()),
  },
  // s(beta r_c) + 1 - s(beta (r_c - r_r))   (eq. 8)
  apo_down: {
    reference: true,
    kind: 'pair',
    loss: (c, r, { beta }) => c.ratio.mul(beta).sigmoid().add(r.ratio.sub(c.ratio).mul(beta).sigmoid()),
  },
  // -l(beta D) (1 - g) + exp(-beta D) g,  g = s(beta D / tau)   (arXiv 2406.08414, eq. 5; exp(-x) g = exp(log g - x))
  discopop: {
    reference: true,
    kind: 'pair',
    usesDivergence: true,
    loss: (c, r, o) => {
      const x = margin(c, r, o)
      const gate = x.div(o.discopopTau)
      const logistic = x.logSigmoid().mul(gate.neg().sigmoid()).neg()
      return logistic.add(gate.logSigmoid().sub(x).exp())
    },
  },
  // -sum log pi_c / sum |y_c|
  sft: { reference: false, kind: 'likelihood', nll: () => 1 },
  // -(1 - eps) l(beta (log pi_c - log pi_r)) - eps l(-...), + cpoAlpha NLL   (arXiv 2401.08417, eq. 3-5)
  cpo: {
    reference: false,
    kind: 'pair',
    usesLabelSmoothing: true,
    referenceFree: 'sum',
    nll: (o) => o.cpoAlpha ?? 1,
    loss: (c, r, o) => smoothed(shaped(c.logp, o.alpha).sub(shaped(r.logp, o.alpha)).mul(o.beta), o),
  },
  // -beta l(odds_c - odds_r), odds = mean - log(1 - e^mean), + NLL   (arXiv 2403.07691, eq. 6-7)
  orpo: {
    reference: false,
    kind: 'pair',
    referenceFree: 'mean',
    nll: () => 1,
    loss: (c, r, { beta }) => logOddsRatio(c, r).logSigmoid().mul(-beta),
  },
  // -l(beta (mean_c - mean_r) - gamma)   (arXiv 2405.14734, eq. 6; smoothed as cDPO, + cpoAlpha NLL where asked for)
  simpo: {
    reference: false,
    kind: 'pair',
    usesLabelSmoothing: true,
    referenceFree: 'mean',
    nll: (o) => o.cpoAlpha ?? 0,
    loss: (c, r, o) => {
      const d = shaped(mean(c), o.alpha).sub(shaped(mean(r), o.alpha))
      return smoothed(d.mul(o.beta).sub(o.simpoGamma), o)
    },
  },
  // -sum_k [s_k - logsumexp_{j not before k} s_j],  s = beta f(r)   (aSFT, L_DPO; two responses are DPO exactly)
  'plackett-luce': {
    reference: true,
    kind: 'list',
    usesDivergence: true,
    loss: (_c, _r, { ties }, { scores, ranks }) => plackettLuce(scores, ranks, ties),
  },
}

/** log odds of the chosen over the rejected, on means. */
export const logOddsRatio = (c: ResponseLogps, r: ResponseLogps): Tensor => logOdds(mean(c)).sub(logOdds(mean(r)))
