/**
 * Rows as token ids for `attune score` and `attune credit`: for a language model with the labels whose log-probabilities
 * are asked for, for a reward model as a prompt with the texts to score.
 *
 * Rows become ids as in training, with one difference. A language model is scored on what the row says, so no end token
 * is added. A reward model keeps the end token: there it learned to read the score.
 */
import type { Tree } from '../data/batch.ts'
import type { EncoderInput } from '../data/encoderBatch.ts'
import { type Encoder, scoredExample, type TextOptions, textExample } from '../data/examples.ts'
import type { Ranking, Row, Sft, Text } from '../data/rows.ts'
import { type Scorable, uncounted } from '../generate/score.ts'
import { badInput } from '../util/fault.ts'

/** Of the model: positions of its context, and ids of its vocabulary. */
export type ModelLimits = { positions: number; vocabulary: number }

const uncut = { maxLength: Number.POSITIVE_INFINITY }
const wholeText = { assistantOnly: false, completionOnly: false }

const checkLength = (tokens: number, { positions }: ModelLimits) => {
  if (tokens > positions) throw badInput('too-long', `has ${tokens} tokens; the model takes ${positions}`)
}

const checkIds = (ids: readonly number[], { vocabulary }: ModelLimits) => {
  const unknown = ids.find((id) => id >= vocabulary)
  if (unknown !== undefined) throw badInput('bad-row', `holds the id ${unknown}; the model knows ${vocabulary}`)
}

/** The input of a language model. Throws Faults 'wrong-kind', 'too-long' and 'bad-row', without a place. */
export const scoreInput = (encoder: Encoder, row: Row, limits: ModelLimits, options: TextOptions): Scorable => {
  const { ids, labels } =
    row.kind === 'labelled' ? { ids: row.input_ids, labels: row.labels } : textInput(encoder, row, options)
  checkLength(ids.length, limits)
  checkIds([...ids, ...labels.filter((label) => label !== uncounted)], limits)
  // Nothing predicts the first token
  return { ids, labels: labels.map((label, t) => (t === 0 ? uncounted : label)) }
}

const textInput = (encoder: Encoder, row: Row, options: TextOptions): Scorable => {
  if (row.kind !== 'text' && row.kind !== 'messages' && row.kind !== 'completion' && row.kind !== 'unpaired')
    throw badInput('wrong-kind', `rows of the kind "${row.kind}" cannot be scored; give prompt and completion`)
  const plain = row.kind === 'unpaired' ? ({ ...row, kind: 'completion' } as const) : row
  const withoutEnd = { ...encoder, eosId: undefined }
  const example = textExample(withoutEnd, plain, uncut, options, () => {})
  if (typeof example === 'string') throw badInput('bad-row', 'holds nothing to predict')
  return { ids: example.ids, labels: example.ids.map((id, t) => (example.targets[t] ? id : uncounted)) }
}

/** The input of a reward model, with a branch for each text to score. Throws the same Faults as scoreInput. */
export const rewardInput = (encoder: Encoder, row: Row, limits: ModelLimits): Tree =>
  checkTree(scoredTree(encoder, row), limits)

/** The same with the prompt as the trunk, if the row has one: only the completion's tokens get credit. */
export const creditInput = (encoder: Encoder, row: Row, limits: ModelLimits): Tree =>
  checkTree(promptTree(encoder, row), limits)

const promptTree = (encoder: Encoder, row: Row): Tree => {
  const { template } = row
  const tree = (prompt: Text, completion: Text): Tree =>
    rankingTree(encoder, { kind: 'ranking', prompt, template, responses: [completion], ranks: [1] })
  if (row.kind === 'unpaired' || row.kind === 'completion') return tree(row.prompt, row.completion)
  if (row.kind === 'rated') return tree(row.prompt, row.response)
  if (row.kind === 'messages' && row.messages.length > 1 && row.messages.at(-1)!.role === 'assistant')
    return tree(row.messages.slice(0, -1), row.messages.slice(-1))
  return scoredTree(encoder, row)
}

const checkTree = (tree: Tree, limits: ModelLimits): Tree => {
  for (const branch of tree.branches) {
    const tokens = tree.trunk.length + branch.length
    checkLength(tokens, limits)
    if (tokens === 0) throw badInput('bad-row', 'holds nothing to score')
  }
  checkIds(
    [tree.trunk, ...tree.branches].flatMap((ids) => Array.from(ids)),
    limits,
  )
  return tree
}

const scoredTree = (encoder: Encoder, row: Row): Tree => {
  if (row.kind === 'labelled') return { trunk: [], branches: [row.input_ids] }
  if (row.kind === 'ranking') return rankingTree(encoder, row)
  if (row.kind === 'prompt')
    throw badInput('wrong-kind', 'rows with prompts alone hold nothing to score; give prompt and completion')
  const example = textExample(encoder, asText(row), uncut, wholeText, () => {})
  if (typeof example === 'string') throw badInput('bad-row', 'holds nothing to score')
  return { trunk: [], branches: [example.ids] }
}

const asText = (row: Exclude<Row, { kind: 'labelled' | 'ranking' | 'prompt' }>): Sft => {
  if (row.kind === 'unpaired') return { ...row, kind: 'completion' }
  if (row.kind === 'rated') return { ...row, kind: 'completion', completion: row.response }
  return row
}

const rankingTree = (encoder: Encoder, row: Ranking): Tree => {
  const example = scoredExample(encoder, row, uncut, () => {})
  if (typeof example === 'string') throw badInput('bad-row', 'holds nothing to score')
  return { trunk: example.prompt, branches: example.responses }
}

/** The input of an encoder: ids with their mask, or a text with the special tokens of its tokenizer. Throws the same Faults. */
export const encoderInput = (encoder: Encoder, row: Row): EncoderInput => {
  if (row.kind !== 'text')
    throw badInput(
      'wrong-kind',
      `rows of the kind "${row.kind}" have no hidden states of their own; give text or input_ids`,
    )
  const { text, attention_mask: mask, token_type_ids: types } = row
  if (typeof text === 'string') return nonEmpty({ ids: encoder.encode(text).ids })
  return nonEmpty({
    ids: text,
    mask: listBeside(mask, 'attention_mask', text.length, (value) => value === 0 || value === 1),
    types: listBeside(
      types,
      'token_type_ids',
      text.length,
      (value) => Number.isInteger(value) && (value as number) >= 0,
    ),
  })
}

const nonEmpty = (input: EncoderInput): EncoderInput => {
  if (input.ids.length === 0) throw badInput('bad-row', 'holds no tokens')
  return input
}

const listBeside = (
  value: unknown,
  name: string,
  length: number,
  isRight: (each: unknown) => boolean,
): number[] | undefined => {
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value) || value.length !== length || !value.every(isRight))
    throw badInput('bad-row', `${name} must be a list of ${length} numbers, one for each id`)
  return value as number[]
}
