/**
 * Policy-gradient losses by token: REINFORCE, PPO's clipped loss, CISPO, SAPO, VESPO; and PPO's value loss.
 *
 * How tokens are averaged (grpo, bnpo, dr_grpo, dapo) is a weight for each token, known before the pass
 * (aggregation.ts). So every loss is sum_t w_t l_t, a micro-batch's loss is its share of the step, and tokens of
 * weight 0 are ignored. With one ratio a completion (`sequence`, `completion`) l_t is the same for all its tokens.
 */
import { iota, scalar, type Tensor } from '../tensor/tensor.ts'
import type { KlEstimator } from './kl.ts'
import type { Objective } from './objective.ts'

/**
 * `reinforce` -A log pi (Williams 1992) · `clip` max(-A ratio, -A clip(ratio)) (PPO, arXiv 1707.06347, eq. 7) · `cispo`
 * (arXiv 2506.13585, eq. 4) · `sapo` (arXiv 2511.20347) · `vespo` (arXiv 2602.10693): soft gates in place of the clip.
 */
export type PolicyLoss = 'reinforce' | 'clip' | 'cispo' | 'sapo' | 'vespo'

/**
 * The importance ratio: `token` one for each token; `sequence` one for a completion, the geometric mean of its tokens' (GSPO,
 * arXiv 2507.18071, eq. 7); `completion` one for a completion, their product.
 */
export type RatioLevel = 'token' | 'sequence' | 'completion'

export type PolicyOptions = {
  loss: PolicyLoss
  ratio: RatioLevel
  /** The ratio is held within 1 - low .. 1 + high. */
  epsilonLow: number
  epsilonHigh: number
  /** Dual clip (arXiv 1912.09729, eq. 5): where A < 0 the loss is at most -delta A. */
  delta?: number
  /** Coefficient of KL(pi || ref) in the loss, by which estimate; 0 reads no reference. */
  beta: number
  klEstimator: KlEstimator
  /** The estimate times the importance ratio (TRL's use_bias_correction_kl). */
  useBiasCorrectionKl?: boolean
  /** Coefficient of the entropy, which is added to what is maximised. */
  entropyCoef: number
  /** Only this share of the tokens, those of the highest entropy, gets a policy loss (arXiv 2506.01939). */
  topEntropyQuantile?: number
}

export type PolicyBatch = {
  /** [M] log-probs of the sampled tokens under the policy, and under the policy that sampled them (by default the same). */
  logps: Tensor
  oldLogps?: Tensor
  refLogps?: Tensor
  /** [M] */
  advantages: Tensor
  /** [M] the weight of each token; 0 ignores it. */
  weights: Tensor
  /** [M] entropy of the distribution that each token was drawn from. */
  entropy: Tensor
  /** [M] i64 the completion of each token, below S; [S] counted tokens of each completion. */
  sequence: Tensor
  lengths: Tensor
}

/** exp() of a larger log ratio could overflow. */
const largestLogRatio = 40

/**
 * sum_t w_t (policy loss + beta kl - entropyCoef H). Metrics under TRL's names: clip_ratio/{low_mean,high_mean,region_mean},
 * means over tokens (over completions, where each has one ratio); clip_ratio/{low_min,high_max} over the completions' own
 * means; kl, entropy, approx_kl = (log ratio)^2 / 2 and ratio, means over tokens.
 */
export const policyLoss = (batch: PolicyBatch, o: PolicyOptions): Objective => {
  const counted = batch.weights.gt(0)
  const logRatio = counted.where(batch.logps.sub(batch.oldLogps ?? batch.logps.stopGradient()), 0)
  const ratio = atLevel(logRatio, batch, o.ratio).min(largestLogRatio).exp()
  const pg = perToken[o.loss](ratio, { ...batch, logRatio }, o)
  const gated = o.topEntropyQuantile === undefined ? pg : pg.mul(topEntropy(batch, counted, o.topEntropyQuantile))
  const kl = batch.refLogps && klTerm(batch.logps, batch.refLogps, ratio, o)
  const withKl = kl && o.beta !== 0 ? gated.add(kl.mul(o.beta)) : gated
  const each = o.entropyCoef === 0 ? withKl : withKl.sub(batch.entropy.mul(o.entropyCoef))
  const mean = meanOver(counted.cast('f32'))
  const metrics = {
    entropy: mean(batch.entropy),
    ...(kl && { kl: mean(kl) }),
    ...(o.loss !== 'reinforce' && ratioMetrics(ratio, logRatio, batch, o, counted)),
  }
  return { loss: counted.where(each.mul(batch.weights), 0).sum(), metrics }
}

const meanOver =
  (among: Tensor) =>
  (x: Tensor): Tensor =>
    x.mul(among).sum().div(among.sum().max(1))

const atLevel = (logRatio: Tensor, { sequence, lengths }: PolicyBatch, level: RatioLevel): Tensor => {
  if (level === 'token') return logRatio
  const sums = logRatio.scatterAdd(sequence, lengths.shape[0])
  return (level === 'sequence' ? sums.div(lengths.max(1)) : sums).gather(sequence)
}

type PerToken = (ratio: Tensor, batch: PolicyBatch & { logRatio: Tensor }, options: PolicyOptions) => Tensor

const clipped: PerToken = (ratio, { advantages: a }, { epsilonLow, epsilonHigh, delta }) => {
  const held = ratio.max(1 - epsilonLow).min(1 + epsilonHigh)
  const loss = a.neg().mul(ratio).max(a.neg().mul(held))
  return delta === undefined ? loss : a.lt(0).where(loss.min(a.mul(-delta)), loss)
}

/** tau of SAPO's gate for A > 0 and for the others. */
const sapoTau = [1, 1.05]
/** k and lambda of VESPO's gate for A >= 0 and for A < 0. */
const vespoShape = [
  { k: 2, lambda: 3 },
  { k: 3, lambda: 2 },
]

const vespo: PerToken = (_, { logps, logRatio, advantages: a, sequence, lengths }) => {
  const sums = logRatio.stopGradient().max(-20).min(20).scatterAdd(sequence, lengths.shape[0])
  const w = sums.max(Math.log(1e-8)).min(20).gather(sequence)
  const gate = ({ k, lambda }: { k: number; lambda: number }) => w.mul(k).sub(w.exp().mul(lambda)).add(lambda).exp()
  return a.lt(0).where(gate(vespoShape[1]), gate(vespoShape[0])).mul(a).mul(logps).neg()
}

const perToken: Record<PolicyLoss, PerToken> = {
  reinforce: (_, { logps, advantages }) => advantages.mul(logps).neg(),
  clip: clipped,
  cispo: (ratio, { logps, advantages }, { epsilonHigh }) =>
    ratio.min(epsilonHigh).stopGradient().mul(advantages).mul(logps).neg(),
  sapo: (ratio, { advantages: a }) => {
    const tau = a.gt(0).where(scalar(sapoTau[0]), sapoTau[1])
    return tau.mul(ratio.sub(1)).sigmoid().mul(4).div(tau).mul(a).neg()
  },
  vespo,
}

/** Values as `klEstimate`, their gradients by the log-prob. [M] */
export const klTokens = (logps: Tensor, refLogps: Tensor, estimator: KlEstimator): Tensor => {
  const d = logps.sub(refLogps)
  if (estimator === 'k1') return d
  return estimator === 'k2' ? d.square().mul(0.5) : d.neg().min(largestLogRatio).exp().sub(1).add(d)
}

const klTerm = (logps: Tensor, refLogps: Tensor, ratio: Tensor, o: PolicyOptions): Tensor => {
  const kl = klTokens(logps, refLogps, o.klEstimator)
  return o.useBiasCorrectionKl ? kl.mul(ratio) : kl
}

/** 1 where the entropy is at or above the quantile 1 - part of all counted tokens, linear between neighbours. */
const topEntropy = ({ entropy }: PolicyBatch, counted: Tensor, part: number): Tensor => {
  const M = entropy.shape[0]
  const last = 1e9
  const order = counted.where(entropy, last).reshape([1, M]).argsort()
  const sorted = entropy.reshape([1, M]).takeAlong(order).reshape([M])
  const at = counted
    .cast('f32')
    .sum()
    .sub(1)
    .mul(1 - part)
  const near = iota(M).cast('f32').sub(at).abs().neg().add(1).max(0)
  return entropy.ge(sorted.mul(near).sum().sub(1e-6)).cast('f32').stopGradient()
}

const ratioMetrics = (
  ratio: Tensor,
  logRatio: Tensor,
  { advantages: a, lengths, sequence }: PolicyBatch,
  { loss, ratio: level, epsilonLow, epsilonHigh }: PolicyOptions,
  counted: Tensor,
): Record<string, Tensor> => {
  const low = ratio.lt(1 - epsilonLow).and(a.lt(0))
  const high = ratio.gt(loss === 'cispo' ? epsilonHigh : 1 + epsilonHigh).and(a.gt(0))
  // A ratio that all tokens of a completion share counts once
  const once = level === 'token' ? counted.cast('f32') : counted.where(lengths.max(1).gather(sequence).pow(-1), 0)
  const share = (x: Tensor) => meanOver(once)(x.cast('f32'))
  const tokens = meanOver(counted.cast('f32'))
  const perCompletion = (x: Tensor) =>
    x.and(counted).cast('f32').scatterAdd(sequence, lengths.shape[0]).div(lengths.max(1))
  return {
    'clip_ratio/low_mean': share(low),
    'clip_ratio/high_mean': share(high),
    'clip_ratio/low_min': lengths.gt(0).where(perCompletion(low), 1).neg().amax(0).neg(),
    'clip_ratio/high_max': perCompletion(high).amax(0),
    'clip_ratio/region_mean': share(low.or(high)),
    approx_kl: tokens(logRatio.square().mul(0.5)),
    ratio: meanOver(once)(ratio),
  }
}

/**
 * 0.5 sum_t w_t max((v - R)^2, (clip(v, old - c, old + c) - R)^2) (PPO's reference implementation; with c = infinity the
 * plain square). Metric clipfrac: where the clipped branch is the larger.
 */
export const valueLoss = (
  { values, oldValues, returns, weights }: Record<'values' | 'oldValues' | 'returns' | 'weights', Tensor>,
  { clip }: { clip: number },
): { loss: Tensor; clipfrac: Tensor } => {
  const counted = weights.gt(0)
  const held = values.max(oldValues.sub(clip)).min(oldValues.add(clip))
  const [plain, bounded] = [values.sub(returns).square(), held.sub(returns).square()]
  const loss = counted.where(plain.max(bounded).mul(weights), 0).sum().mul(0.5)
  return { loss, clipfrac: meanOver(counted.cast('f32'))(bounded.gt(plain).cast('f32')) }
}
