/**
 * Rows as what a reward model is asked to judge. Rows become ids just as in its training, with the token that ends a
 * text: that is where it learnt to read the score.
 */
import type { Tree } from '../data/batch.ts'
import { type Encoder, scoredExample, textExample } from '../data/examples.ts'
import type { Ranking, Row, Sft, Text } from '../data/rows.ts'
import { badInput } from '../util/fault.ts'

type Limits = { positions: number; vocabulary: number }

const unlimited = { maxLength: Number.POSITIVE_INFINITY }
const whole = { assistantOnly: false, completionOnly: false }

/** A tree with a branch for each reply. Throws Faults 'wrong-kind', 'too-long' and 'bad-row', without a place. */
export const rewardInput = (encoder: Encoder, row: Row, limits: Limits): Tree => checked(treeOf(encoder, row), limits)

/** The same with the prompt apart from the reply, where a row has one. */
export const creditInput = (encoder: Encoder, row: Row, limits: Limits): Tree =>
  checked(promptAndReply(encoder, row), limits)

const promptAndReply = (encoder: Encoder, row: Row): Tree => {
  const { template } = row
  const asRanking = (prompt: Text, reply: Text): Tree =>
    rankedTreeOf(encoder, { kind: 'ranking', prompt, template, responses: [reply], ranks: [1] })
  if (row.kind === 'unpaired' || row.kind === 'completion') return asRanking(row.prompt, row.completion)
  if (row.kind === 'rated') return asRanking(row.prompt, row.response)
  if (row.kind === 'messages' && row.messages.length > 1 && row.messages.at(-1)!.role === 'assistant')
    return asRanking(row.messages.slice(0, -1), row.messages.slice(-1))
  return treeOf(encoder, row)
}

const checked = (tree: Tree, { positions, vocabulary }: Limits): Tree => {
  for (const branch of tree.branches) {
    const tokens = tree.trunk.length + branch.length
    if (tokens > positions) throw badInput('too-long', `has ${tokens} tokens; the model takes ${positions}`)
    if (tokens === 0) throw badInput('bad-row', 'holds nothing to judge')
  }
  const stray = [tree.trunk, ...tree.branches].flatMap((ids) => Array.from(ids)).find((id) => id >= vocabulary)
  if (stray !== undefined) throw badInput('bad-row', `holds the id ${stray}; the model knows ${vocabulary}`)
  return tree
}

const treeOf = (encoder: Encoder, row: Row): Tree => {
  if (row.kind === 'labelled') return { trunk: [], branches: [row.input_ids] }
  if (row.kind === 'ranking') return rankedTreeOf(encoder, row)
  if (row.kind === 'prompt')
    throw badInput('wrong-kind', 'rows of prompts alone hold no reply to judge; give prompt and completion')
  const example = textExample(encoder, asText(row), unlimited, whole, () => {})
  if (typeof example === 'string') throw badInput('bad-row', 'holds nothing to judge')
  return { trunk: [], branches: [example.ids] }
}

const asText = (row: Exclude<Row, { kind: 'labelled' | 'ranking' | 'prompt' }>): Sft => {
  if (row.kind === 'unpaired') return { ...row, kind: 'completion' }
  if (row.kind === 'rated') return { ...row, kind: 'completion', completion: row.response }
  return row
}

const rankedTreeOf = (encoder: Encoder, row: Ranking): Tree => {
  const example = scoredExample(encoder, row, unlimited, () => {})
  if (typeof example === 'string') throw badInput('bad-row', 'holds nothing to judge')
  return { trunk: example.prompt, branches: example.responses }
}
