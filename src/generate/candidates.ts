/**
 * Temperature, top-k, top-p, min-p, typical, epsilon and top-H sampling: transformers' LogitsWarpers, in float64. Each
 * takes the tokens that are left and returns fewer, so after the first one the work is small. Only `keepTypical` sorts
 * a whole vocabulary.
 */

/** Tokens that can still be sampled, by ascending id. */
export type Candidates = { ids: Uint32Array; logits: Float64Array }

export const allCandidates = (row: Float32Array | Float64Array): Candidates => {
  const ids = new Uint32Array(row.length)
  for (let i = 0; i < ids.length; i++) ids[i] = i
  return { ids, logits: new Float64Array(row) }
}

const atLeast = ({ ids, logits }: Candidates, least: number): Candidates => {
  let count = 0
  for (let i = 0; i < logits.length; i++) {
    if (logits[i] < least) continue
    ids[count] = ids[i]
    logits[count++] = logits[i]
  }
  return { ids: ids.subarray(0, count), logits: logits.subarray(0, count) }
}

/** Without the tokens that were banned by a logit of -Infinity. */
export const withoutBanned = (all: Candidates): Candidates => atLeast(all, -Number.MAX_VALUE)

export const keepLikeliest = (left: Candidates): Candidates => atLeast(left, largest(left.logits))

/** The likeliest token becomes 0 first, so that no quotient is infinite; probabilities depend on differences alone. */
export const scaleTemperature = (left: Candidates, temperature: number): Candidates => {
  const { logits } = left
  const top = largest(logits)
  for (let i = 0; i < logits.length; i++) logits[i] = logits[i] === top ? 0 : (logits[i] - top) / temperature
  return left
}

export const keepTopK = (left: Candidates, k: number): Candidates =>
  k >= left.logits.length ? left : atLeast(left, kthLargest(left.logits, k))

/** By a heap of the k largest so far, the least of them on top. */
const kthLargest = (values: Float64Array, k: number): number => {
  const heap = values.slice(0, k).sort()
  for (let i = k; i < values.length; i++) if (values[i] > heap[0]) replaceLeast(heap, values[i])
  return heap[0]
}

const replaceLeast = (heap: Float64Array, value: number) => {
  let at = 0
  for (;;) {
    const child = 2 * at + 1
    if (child >= heap.length) break
    const least = child + 1 < heap.length && heap[child + 1] < heap[child] ? child + 1 : child
    if (heap[least] >= value) break
    heap[at] = heap[least]
    at = least
  }
  heap[at] = value
}

export const keepTopP = (left: Candidates, p: number): Candidates => {
  const probs = probabilities(left.logits)
  // All tokens up to this probability have less than 1 - p together, and the likeliest is not among them
  const negligible = (1 - p) / 2 / probs.length
  const rest: number[] = []
  let below = 0
  for (let i = 0; i < probs.length; i++) {
    if (probs[i] > negligible) rest.push(i)
    else below += probs[i]
  }
  rest.sort((a, b) => probs[a] - probs[b] || a - b)
  const first = rest.findIndex((i, n) => n === rest.length - 1 || (below += probs[i]) > 1 - p)
  return pick(left, rest.slice(first))
}

const pick = ({ ids, logits }: Candidates, index: readonly number[]): Candidates => {
  const order = Uint32Array.from(index).sort()
  return {
    ids: order.map((i) => ids[i]),
    logits: Float64Array.from(order, (i) => logits[i]),
  }
}

export const keepMinP = (left: Candidates, minP: number): Candidates =>
  // p < minP * max p, as logits
  atLeast(left, largest(left.logits) + Math.log(minP))

/**
 * Tokens whose surprise is closest to the entropy, until they have this much probability (Meister et al. 2022); those
 * as close as the last stay.
 */
export const keepTypical = (left: Candidates, mass: number): Candidates => {
  const probs = probabilities(left.logits)
  const entropy = entropyOf(probs)
  const away = probs.map((p) => Math.abs(-Math.log(p) - entropy))
  const order = Array.from(probs.keys()).sort((a, b) => away[a] - away[b])
  let sum = 0
  const last = order.find((i, n) => n === order.length - 1 || (sum += probs[i]) >= mass)!
  return pick(
    left,
    order.filter((i) => away[i] <= away[last]),
  )
}

const entropyOf = (probs: Float64Array): number => probs.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0)

/** Drops tokens less likely than this, but never the likeliest (Hewitt et al. 2022). */
export const keepEpsilon = (left: Candidates, epsilon: number): Candidates => {
  const probs = probabilities(left.logits)
  const top = largest(probs)
  return pick(
    left,
    Array.from(probs.keys()).filter((i) => probs[i] >= epsilon || probs[i] === top),
  )
}

/** As transformers caps them. */
const topHCandidates = 100

/** Of the 100 likeliest the first that have at most this share of their entropy together, one at least (top-H, 2025). */
export const keepTopH = (left: Candidates, topH: number): Candidates => {
  const { logits } = left
  const narrowed = pick(
    left,
    Array.from(logits.keys())
      .sort((a, b) => logits[b] - logits[a] || a - b)
      .slice(0, topHCandidates),
  )
  const probs = probabilities(narrowed.logits)
  const limit = topH * entropyOf(probs)
  const order = Array.from(probs.keys()).sort((a, b) => probs[b] - probs[a])
  let sum = 0
  const end = order.findIndex((i) => (sum -= probs[i] * Math.log(probs[i])) > limit)
  return pick(narrowed, order.slice(0, end < 0 ? order.length : Math.max(1, end)))
}

const largest = (values: Float64Array): number => {
  let top = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) if (values[i] > top) top = values[i]
  return top
}

/** softmax */
export const probabilities = (logits: Float64Array): Float64Array => {
  const top = largest(logits)
  const probs = new Float64Array(logits.length)
  let sum = 0
  // Equal infinities have no difference
  for (let i = 0; i < probs.length; i++) sum += probs[i] = logits[i] === top ? 1 : Math.exp(logits[i] - top)
  for (let i = 0; i < probs.length; i++) probs[i] /= sum
  return probs
}
