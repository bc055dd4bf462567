/**
 * The Plackett-Luce likelihood of K ranked responses: p = prod_k exp(s_k) / sum_{j not ranked before k} exp(s_j).
 * Computed from differences s_j - s_k, so that K = 2 is -log sigmoid(s_1 - s_2) to the last bit.
 *
 * Responses are sorted by rank first, so tied ones are neighbours. The sum over the orders of a tie is computed by
 * dynamic programming over its subsets, 2^m states instead of m! orders, and needs no input but the ranks.
 *
 * Sources: Plackett 1975; Luce 1959; aSFT's L_DPO; Breslow 1974 for ties.
 */
import { addDims } from '../tensor/dim.ts'
import { concat, constant, iota, stack, type Tensor } from '../tensor/tensor.ts'

/**
 * How equal ranks count. `marginal`: -log of the probability of any order that agrees, for up to five tied; more are
 * left to `breslow`: each tied response against all that are not ranked before it, the tied included.
 */
export type Ties = 'marginal' | 'breslow'

/** The widest tie whose orders are summed. */
const widestTie = 5

/** Far below any score, yet finite in f32 when a few are added up: exp() of it is 0 and no gradient becomes NaN. */
const never = -1e30

/** Sorts behind every rank. */
const behind = 1e9

/**
 * Negative log-likelihood of the ranks.
 * @param scores [B, K] nats, in any order
 * @param ranks  [B, K] f32: 1 is best and equal ranks tie; -1 is unranked and stands in every denominator; 0 is no
 *               response at all, and its score is never looked at
 * @returns      [B] nats
 */
export const plackettLuce = (scores: Tensor, ranks: Tensor, ties: Ties = 'marginal'): Tensor => {
  const ranked = ranks.gt(0)
  const order = ranked.where(ranks, ranks.eq(0).where(2 * behind, behind)).argsort()
  const sorted = ranks.takeAlong(order)
  const s = sorted.eq(0).where(0, scores.takeAlong(order))
  const one = oneByOne(s, sorted)
  const each = ties === 'breslow' ? one : marginalOr(one, s, sorted)
  return sorted.gt(0).where(each, 0).sum(-1)
}

/** Place k of the sorted list as a row [B, K, 1] and as a column [B, 1, K]. */
const asRow = (x: Tensor) => x.reshape([...x.shape, 1])
const asColumn = (x: Tensor) => x.reshape([x.shape[0], 1, x.shape[1]])

/** [B, K, K]: j is present and ranked at k's place or behind it, or unranked. */
const notBefore = (ranks: Tensor): Tensor => {
  const [rank, other] = [asRow(ranks), asColumn(ranks)]
  return other.lt(0).or(other.ge(rank).and(other.gt(0)))
}

/**
 * [B, K]: log sum_{j not before k} exp(s_j - s_k) = softplus(logsumexp_{j not k} (s_j - s_k)), ties at one place in
 * each other's denominators.
 */
const oneByOne = (s: Tensor, ranks: Tensor): Tensor => {
  const place = iota(s.shape[1])
  const others = notBefore(ranks).and(place.reshape([1, s.shape[1], 1]).eq(place).not())
  return others
    .where(asColumn(s).sub(asRow(s)), never)
    .logsumexp()
    .softplus()
}

/** [B, K]: at the first response of a tie its marginal, 0 at the others of it, and `one` where there is no such tie. */
const marginalOr = (one: Tensor, s: Tensor, ranks: Tensor): Tensor => {
  const K = s.shape[1]
  const width = typeof K === 'number' ? Math.min(K, widestTie) : widestTie
  const size = asRow(ranks).eq(asColumn(ranks)).cast('f32').sum(-1)
  const first = ranks.eq(shifted(ranks, -1)).not()
  const small = size.gt(1).and(size.le(width))
  return small.where(first.where(tieMarginal(s, ranks, size, width), 0), one)
}

/** x [B, K] moved by t places to the left (right, where t is negative), zeros moving in. K may be less than t. */
const shifted = (x: Tensor, t: number): Tensor => {
  const [start, K] = [Math.max(0, t), x.shape[1]]
  return x.pad(1, Math.max(0, -t), start).slice(1, start, addDims(K, start))
}

/**
 * [B, K]: -log P(the `size` responses from place k on come before all that are behind them, in any order). g(S) is the
 * probability that the part S of the tie, still to be placed, comes next: g({}) = 1 and
 * g(S) = sum_{i in S} exp(s_i) / (sum_S exp(s) + sum_behind exp(s)) g(S without i).
 */
const tieMarginal = (s: Tensor, ranks: Tensor, size: Tensor, width: number): Tensor => {
  const { members, without } = subsets(width)
  const window = stack(Array.from({ length: width }, (_, t) => shifted(s, t).sub(s)))
  const tied = iota(width).cast('f32').reshape([width, 1, 1]).lt(size)
  const x = tied.where(window, never).reshape([1, width, ...s.shape])
  const behindIt = notBefore(ranks).and(asRow(ranks).eq(asColumn(ranks)).not())
  const tail = behindIt.where(asColumn(s).sub(asRow(s)), never).logsumexp()
  const left = concat(
    [members.where(x, never), tail.reshape([1, 1, ...s.shape]).broadcastTo([2 ** width, 1, ...s.shape])],
    1,
  )
  const total = logSumExp1(left)
  const next = members.where(x.sub(total.reshape([2 ** width, 1, ...s.shape])), never)
  const filled = iota(2 ** width).reshape([2 ** width, 1, 1])
  let g = total.mul(0)
  for (let t = 0; t < width; t++) g = filled.gt(0).where(logSumExp1(next.add(g.gather(without))), 0)
  const whole = g.gather(
    constant(
      Array.from({ length: width }, (_, m) => 2 ** (m + 1) - 1),
      [width],
      'i64',
    ),
  )
  const sizes = iota(width).cast('f32').add(1).reshape([width, 1, 1])
  return sizes.eq(size).where(whole, 0).sum(0).neg()
}

/** Subset S of `width` places as the bits of 0 .. 2^width - 1: who is in it [S, width, 1, 1], and S without i. */
const subsets = (width: number) => {
  const pairs = Array.from({ length: 2 ** width * width }, (_, n) => [Math.floor(n / width), 1 << (n % width)])
  const inside = pairs.map(([set, bit]) => (set & bit ? 1 : 0))
  return {
    members: constant(inside, [2 ** width, width, 1, 1]).gt(0),
    without: constant(
      pairs.map(([set, bit]) => set & ~bit),
      [2 ** width, width],
      'i64',
    ),
  }
}

/** log(sum(exp(x))) over axis 1. */
const logSumExp1 = (x: Tensor): Tensor => {
  const m = x.amax(1, true).stopGradient()
  const y = x.sub(m).exp().sum(1, true).log().add(m)
  return y.reshape([x.shape[0], ...x.shape.slice(2)])
}
