/**
 * Mixtures of experts: a router chooses for each token a few of the experts, and only those are computed. The rows of all tokens
 * are put in the order of their experts, so that each expert is one product over its own rows, however many those are.
 */
import { mulDims } from '../tensor/dim.ts'
import { scalar, type Tensor, zeros } from '../tensor/tensor.ts'

/** Which experts [N, k] i64 a token goes to, and what their results are multiplied by [N, k]. */
export type Routing = { chosen: Tensor; weights: Tensor }

/** Softmax over all experts, of which the k largest count: as they are, or divided by their sum. logits [N, experts] */
export const routeBySoftmax = (logits: Tensor, k: number, normalised: boolean): Routing => {
  const probs = logits.softmax()
  const chosen = probs.topIndex(k)
  const weights = probs.takeAlong(chosen)
  return { chosen, weights: normalised ? weights.div(weights.sum(-1, true)) : weights }
}

/** Softmax over the k largest alone. logits [N, experts] */
export const routeByLargest = (logits: Tensor, k: number): Routing => {
  const chosen = logits.topIndex(k)
  return { chosen, weights: logits.takeAlong(chosen).softmax() }
}

/**
 * The weighted sum of what the chosen experts make of x [N, C] -> [N, C].
 * @param mlp of rows [N*k, C] in the order of their experts, and how many each has [experts] i64; -> [N*k, C]
 */
export const mixture = (
  x: Tensor,
  { chosen, weights }: Routing,
  experts: number,
  mlp: (rows: Tensor, sizes: Tensor) => Tensor,
): Tensor => {
  const [N, C] = x.shape
  const k = chosen.shape[1] as number
  const S = mulDims(N, k)
  const expertOf = chosen.reshape([S])
  // row r is choice order[r], and choice i is in row places[i]; choice n*k + j is the jth of token n
  const order = expertOf.argsort()
  const places = order.argsort()
  const sizes = zeros([S]).add(1).scatterAdd(expertOf, experts).cast('i64')
  const byToken = (y: Tensor) => y.gather(places).reshape([N, k, C])
  const rows = x.gather(order.div(scalar(k, 'i64'))).withGrad([x], (dy) => [byToken(dy).sum(1)])
  const made = mlp(rows, sizes)
  const back = byToken(made).withGrad([made], (dy) => [dy.reshape([S, C]).gather(order)])
  return back.mul(weights.reshape([N, k, 1])).sum(1)
}
