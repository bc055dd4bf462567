/**
 * Models with a score head: `score.weight` [num_labels, C], without a bias, on the normed hidden state. In place of
 * the language head it makes a reward model, saved as transformers' `...ForSequenceClassification`; beside it, PPO's
 * value head.
 */
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { badInput } from '../util/fault.ts'
import { fillNormal } from '../util/rng.ts'
import { type Architecture, type Config, headWeight, scoreWeight } from './architecture.ts'
import type { Base } from './merge.ts'

/** Keeps these random numbers apart from others of the same seed. */
const SUBSTREAM = 0x5c0e

/** As transformers names them; text models beside those of pictures have a class of their own. */
const classifierName = (name: string) =>
  ['Gemma3ForCausalLM', 'Qwen3_5ForCausalLM'].includes(name)
    ? name.replace('ForCausalLM', 'TextForSequenceClassification')
    : name.replace(/(ForCausalLM|LMHeadModel)$/, 'ForSequenceClassification')

const withScore = (shapes: Architecture['shapes'], alone: boolean) => (config: Config) => {
  const all = new Map(shapes(config)).set(scoreWeight, [config.num_labels, config.hidden_size])
  if (alone) all.delete(headWeight)
  return all
}

/** The architecture with a score head in place of the language head. */
export const classifier = (architecture: Architecture): Architecture => ({
  ...architecture,
  name: classifierName(architecture.name),
  shapes: withScore(architecture.shapes, true),
  scores: 'alone',
})

/** A fresh head, as transformers draws it: normal(0, initializer_range). */
export const newScoreWeight = (
  { hidden_size: C, initializer_range: std }: Config,
  labels: number,
  seed: number,
): StoredTensor =>
  lazyTensor(scoreWeight, [labels, C], () =>
    fillNormal(new Float32Array(labels * C), { seed, stream: 0, substream: SUBSTREAM }, std),
  )

/** What config.json says of a classifier's outputs. transformers counts them by `id2label`. */
const labelKeys = (labels: number) => ({
  id2label: Object.fromEntries(Array.from({ length: labels }, (_, i) => [i, `LABEL_${i}`])),
  label2id: Object.fromEntries(Array.from({ length: labels }, (_, i) => [`LABEL_${i}`, i])),
})

/** A reward model of a language model's blocks with this head [num_labels, C]; of a reward model one with another head. */
export const asRewardModel = (base: Base, head: StoredTensor, file?: string): Base => {
  refuseEncoder(base.architecture, file)
  const architecture = base.architecture.scores === 'alone' ? base.architecture : classifier(base.architecture)
  const num_labels = head.shape[0]
  const params = new Map(base.params).set(scoreWeight, head)
  params.delete(headWeight)
  const raw = { ...base.config.raw, ...labelKeys(num_labels), problem_type: null }
  return { architecture, config: { ...base.config, num_labels, raw }, params }
}

/** A language model with a score head beside its own: saved by its own architecture, the head is left out. */
export const withValueHead = (base: Base, head: StoredTensor): Base => ({
  architecture: { ...base.architecture, shapes: withScore(base.architecture.shapes, false), scores: 'beside' },
  config: { ...base.config, num_labels: head.shape[0] },
  params: new Map(base.params).set(scoreWeight, head),
})

/** Throws a Fault 'no-language-head' for an encoder, which does not read from left to right. */
export const refuseEncoder = (architecture: Architecture, file?: string): void => {
  if (!architecture.encoder) return
  const advice = architecture.pairs
    ? '`attune rank` compares texts by it, and `attune reward --kind pair` trains it on'
    : '`attune score --hidden` prints its hidden states, and `attune reward --kind pair` makes a pair ranker of it'
  throw badInput('no-language-head', `is ${encoderText(architecture)}, which writes no text; ${advice}`, { file })
}

/** Throws a Fault 'no-language-head' for an encoder, a pair ranker and a reward model, which write no text. */
export const requireLanguageHead = ({ architecture }: Pick<Base, 'architecture'>, file: string): void => {
  const name = architecture.name
  refuseEncoder(architecture, file)
  if (architecture.scores !== 'alone') return
  throw badInput('no-language-head', `is a reward model (${name}), which has no language head to write text with`, {
    file,
  })
}

/** Throws a Fault 'no-score-head' for a model that gives no scores. */
export const requireScoreHead = ({ architecture }: Pick<Base, 'architecture'>, file: string): void => {
  if (architecture.scores) return
  const name = architecture.name
  if (architecture.encoder) {
    const advice = architecture.pairs
      ? 'it compares two candidates, with `attune rank`'
      : 'train a pair ranker from it with `attune reward --kind pair`'
    throw badInput('no-score-head', `is ${encoderText(architecture)}, which scores no single text; ${advice}`, { file })
  }
  throw badInput(
    'no-score-head',
    `is no reward model: ${name} has no ${scoreWeight}; train one with \`attune reward\``,
    { file },
  )
}

const encoderText = ({ name, pairs }: Architecture) => `${pairs ? 'a pair ranker' : 'an encoder'} (${name})`

/** Throws a Fault 'no-encoder' for a model that is none: its tokens do not attend to later ones. */
export const requireEncoder = ({ architecture }: Pick<Base, 'architecture'>, file: string): void => {
  if (architecture.encoder) return
  const { name } = architecture
  throw badInput('no-encoder', `is no encoder: ${name} reads from left to right; give a BERT, RoBERTa or DeBERTa`, {
    file,
  })
}

/** Throws a Fault 'no-pair-ranker' for a model without the head of a pair ranker. */
export const requirePairRanker = ({ architecture }: Pick<Base, 'architecture'>, file: string): void => {
  if (architecture.pairs) return
  const { name } = architecture
  throw badInput(
    'no-pair-ranker',
    `is no pair ranker: ${name} has no head that compares two candidates; train one with \`attune reward --kind pair\``,
    { file },
  )
}
