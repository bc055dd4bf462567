/**
 * Distillation: how far a student's distribution of the next token is from a teacher's, token by token over the whole
 * vocabulary, and the gradient by the student's logits.
 *
 * Generalised Jensen-Shannon divergence (GKD, Agarwal et al. 2024, arXiv 2306.13649, eq. 1): with p of the student, q of the teacher
 * and m = (1 - beta) p + beta q it is beta KL(q || m) + (1 - beta) KL(p || m). At beta 0 it is the forward KL(q || p), at beta 1 the
 * reverse KL(p || q), which are its limits divided by beta and by 1 - beta. Names and limits are those of TRL's GKDTrainer.
 */
import { concat, scalar, type Tensor } from '../tensor/tensor.ts'

/** Values of each token, [R], in nats. */
export type Divergences = {
  /** By beta; the only one with a gradient, which goes to the student's logits. */
  divergence: Tensor
  /** KL(teacher || student) */
  forwardKl: Tensor
  /** KL(student || teacher) */
  reverseKl: Tensor
  /** 1 where both have the same likeliest token. */
  agreement: Tensor
}

/** A value by the log-probs a of the student and b of the teacher, and its gradient by the student's logits for dy = 1. */
type Rule = { value: Tensor; slope: Tensor }

/** sum_v p r has the gradient p (r - sum p r) by the logits, if r = log p - log x and x does not move, or moves as m does. */
const centred = (p: Tensor, r: Tensor): Tensor => p.mul(r.sub(p.mul(r).sum(-1, true)))

const forwardKl = (a: Tensor, b: Tensor): Rule => ({
  value: b.exp().mul(b.sub(a)).sum(-1),
  slope: a.exp().sub(b.exp()),
})

const reverseKl = (a: Tensor, b: Tensor): Rule => ({
  value: a.exp().mul(a.sub(b)).sum(-1),
  slope: centred(a.exp(), a.sub(b)),
})

/** log((1 - beta) e^a + beta e^b) without overflow. */
const logMixture = (a: Tensor, b: Tensor, beta: number): Tensor => {
  const top = a.max(b)
  return a
    .sub(top)
    .exp()
    .mul(1 - beta)
    .add(b.sub(top).exp().mul(beta))
    .log()
    .add(top)
}

const jensenShannon = (a: Tensor, b: Tensor, beta: number): Rule => {
  const [p, m] = [a.exp(), logMixture(a, b, beta)]
  const teacher = b.exp().mul(b.sub(m)).sum(-1).mul(beta)
  const student = p
    .mul(a.sub(m))
    .sum(-1)
    .mul(1 - beta)
  return { value: teacher.add(student), slope: centred(p, a.sub(m)).mul(1 - beta) }
}

const ruleOf = (beta: number) => (beta === 0 ? forwardKl : beta === 1 ? reverseKl : jensenShannon)

/**
 * @param logits [R, V] of the student, divided by the temperature already
 * @param teacherLogits [R, V] of the teacher, likewise
 * @param beta from 0 (forward KL) to 1 (reverse KL)
 */
export const divergences = (logits: Tensor, teacherLogits: Tensor, beta: number): Divergences => {
  const [a, b] = [logits.logSoftmax().stopGradient(), teacherLogits.logSoftmax().stopGradient()]
  const { value, slope } = ruleOf(beta)(a, b, beta)
  const R = logits.shape[0]
  return {
    divergence: value.withGrad([logits], (dy) => [dy.reshape([R, 1]).mul(slope)]),
    forwardKl: forwardKl(a, b).value,
    reverseKl: reverseKl(a, b).value,
    // The student's log-prob of the teacher's likeliest token is its own largest
    agreement: b.ge(b.amax(-1, true)).where(a, lowest).amax(-1).ge(a.amax(-1)).cast('f32'),
  }
}

const lowest = -1e30

/**
 * Logits of the k tokens that the teacher names, and behind them one of all other tokens together: softmax of the result is the
 * distribution over these k + 1 events, so `divergences` of it is that of the events. It is never more than that of the whole
 * vocabulary, since tokens that fall together can no longer differ.
 * @param logits [R, V]  @param ids [R, k] i64, different ones in a row  @returns [R, k + 1]
 */
export const eventLogits = (logits: Tensor, ids: Tensor): Tensor => {
  const [R, V] = logits.shape
  const named = scalar(1).broadcastTo([R, ids.shape[1]]).putAlong(ids, V)
  const rest = named.gt(0).where(lowest, logits).logsumexp(true)
  return concat([logits.takeAlong(ids), rest], 1)
}

/**
 * log of what probability is left beside the named tokens. Log-probs of a server are rounded, so it is 1e-6 at least.
 * @param logps of the named tokens, in nats
 */
export const restLogp = (logps: readonly number[]): number =>
  Math.log(Math.max(1e-6, 1 - logps.reduce((sum, logp) => sum + Math.exp(logp), 0)))
