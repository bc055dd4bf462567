/**
 * BERTScore (Zhang et al. 2020, "BERTScore: evaluating text generation with BERT"): each token of one text is matched with
 * the most similar token of the other, by the cosine of their hidden states in an encoder. As the package bert-score has
 * it: special tokens can be matched but count nothing, and with idf a token counts the more, the fewer references hold it.
 */

/** Cosines, 1 at most; F is the harmonic mean. */
export type BertScore = { precision: number; recall: number; f: number }

/** A text as its tokens. */
export type Embedded = {
  ids: ArrayLike<number>
  /** Hidden states, [tokens, H] flat. */
  states: Float32Array
}

/** How much a token counts. */
export type TokenWeight = (id: number) => number

/** All tokens alike, special tokens nothing. */
export const plainWeight =
  (special: ReadonlySet<number>): TokenWeight =>
  (id) =>
    special.has(id) ? 0 : 1

/** The inverse document frequency of tokens over the references: log((n + 1) / (references with the token + 1)). */
export const idfWeight = (references: Iterable<ArrayLike<number>>): TokenWeight => {
  const holding = new Map<number, number>()
  let texts = 0
  for (const ids of references) {
    texts++
    for (const id of new Set(Array.from(ids))) holding.set(id, (holding.get(id) ?? 0) + 1)
  }
  return (id) => Math.log((texts + 1) / ((holding.get(id) ?? 0) + 1))
}

/** Rows of length 1. */
const normalised = ({ ids, states }: Embedded): Float32Array => {
  const H = states.length / ids.length
  const rows = states.slice()
  for (let t = 0; t < ids.length; t++) {
    let square = 0
    for (let i = t * H; i < (t + 1) * H; i++) square += rows[i] * rows[i]
    const length = Math.sqrt(square)
    for (let i = t * H; i < (t + 1) * H; i++) rows[i] /= length
  }
  return rows
}

/**
 * @param weight of tokens, by id
 * @param empty tokens of a text without content, which are its special tokens alone: such a text scores 0
 */
export const bertScore = (completion: Embedded, reference: Embedded, weight: TokenWeight, empty: number): BertScore => {
  if (completion.ids.length <= empty || reference.ids.length <= empty) return { precision: 0, recall: 0, f: 0 }
  const [a, b] = [normalised(completion), normalised(reference)]
  const H = completion.states.length / completion.ids.length
  const bestOfA = new Float64Array(completion.ids.length).fill(Number.NEGATIVE_INFINITY)
  const bestOfB = new Float64Array(reference.ids.length).fill(Number.NEGATIVE_INFINITY)
  for (let i = 0; i < bestOfA.length; i++)
    for (let j = 0; j < bestOfB.length; j++) {
      let cosine = 0
      for (let h = 0; h < H; h++) cosine += a[i * H + h] * b[j * H + h]
      if (cosine > bestOfA[i]) bestOfA[i] = cosine
      if (cosine > bestOfB[j]) bestOfB[j] = cosine
    }
  const precision = weighted(bestOfA, completion.ids, weight)
  const recall = weighted(bestOfB, reference.ids, weight)
  const f = (2 * precision * recall) / (precision + recall)
  return { precision, recall, f: Number.isNaN(f) ? 0 : f }
}

const weighted = (values: Float64Array, ids: ArrayLike<number>, weight: TokenWeight): number => {
  let [total, weights] = [0, 0]
  for (let t = 0; t < values.length; t++) {
    const own = weight(ids[t])
    total += own * values[t]
    weights += own
  }
  return total / weights
}

/** Scores on a scale where `baseline` is 0, that of texts that have nothing to do with each other. */
export const rescaled = (score: BertScore, baseline: BertScore): BertScore => {
  const on = (name: keyof BertScore) => (score[name] - baseline[name]) / (1 - baseline[name])
  return { precision: on('precision'), recall: on('recall'), f: on('f') }
}

/** Blocks of known encoders whose states agree best with people, as bert-score found by WMT16. Of others the last block. */
const tunedLayers: Readonly<Record<string, number>> = {
  'bert-base-uncased': 9,
  'bert-large-uncased': 18,
  'bert-base-cased': 9,
  'bert-base-multilingual-cased': 9,
  'distilbert-base-uncased': 5,
  'roberta-base': 10,
  'roberta-large': 17,
  'roberta-large-mnli': 19,
  'microsoft/deberta-v3-small': 4,
  'microsoft/deberta-v3-base': 9,
  'microsoft/deberta-v3-large': 12,
}

/** @param model the hub id, with or without its owner */
export const tunedLayer = (model: string): number | undefined =>
  tunedLayers[model] ?? tunedLayers[model.split('/').at(-1)!]
