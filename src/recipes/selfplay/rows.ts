/**
 * The rows of self-play, by number: prompts as the model reads them, and each row's given answers beside the model's own.
 * Peculiar: an answer ends at its first end token, whoever gave it, so that a template's line break after the turn, which
 * no model samples, tells nobody apart; and texts of others are tokenised by this model's tokenizer.
 */
import { encodePrompt, rankedExample } from '../../data/examples.ts'
import type { Completion, Text } from '../../data/rows.ts'
import type { RowSource } from '../../data/source.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'

/** Rows to train on, or those evalRows out. */
export type SelfPlayRows = RowSource<Completion> & { name: 'train' | 'held' }

/** A given answer; `cut` where its writer was stopped by a limit. */
export type GivenCompletion = { answer: Text; cut?: boolean }

/** The last tokens of the prompt, or why it cannot be answered. */
export const promptOf = (
  { encoder, limits }: Tokenization,
  { prompt, template }: Completion,
): number[] | 'prompt-too-long' | 'empty-prompt' => {
  const ids = encodePrompt(encoder, prompt, template)
  if (ids.length === 0) return 'empty-prompt'
  const kept = limits.maxPromptLength === undefined ? ids : ids.slice(-limits.maxPromptLength)
  return kept.length < limits.maxLength ? kept : 'prompt-too-long'
}

export type GivenCompletions = { prompt: number[]; replies: number[][]; odd: string[] }

/** Answers as token ids within the limits, or why there is nothing to compare. */
export const givenCompletions = (
  tokenization: Tokenization,
  row: Completion,
  given: readonly GivenCompletion[],
): GivenCompletions | string => {
  const { encoder, limits, eosIds } = tokenization
  const promptIds = promptOf(tokenization, row)
  if (typeof promptIds === 'string') return promptIds
  const odd = new Set<string>()
  const responses = given.map(({ answer }) => answer)
  const ranks = responses.map(() => 1)
  const { prompt, template } = row
  const example = rankedExample(encoder, { kind: 'ranking', prompt, template, responses, ranks }, limits, (what) =>
    odd.add(what),
  )
  if (typeof example === 'string') return example
  if (example.truncated) odd.add('truncated')
  const replies = example.responses.map((ids, k) => ended(ids, eosIds, given[k].cut ?? false))
  return replies.some(({ length }) => length === 0)
    ? 'no-reply-left'
    : { prompt: example.prompt, replies, odd: [...odd] }
}

const ended = (ids: number[], eosIds: ReadonlySet<number>, cut: boolean): number[] => {
  const end = ids.findIndex((id) => eosIds.has(id))
  return end < 0 ? ids : ids.slice(0, cut ? end : end + 1)
}

/** What two answers have in common where they are equal: the text, and whether it ends there. */
export const keyOf = ({ tokenizer, eosIds }: Tokenization, ids: readonly number[]): string => {
  if (!tokenizer) return ids.join()
  const isEnd = eosIds.has(ids.at(-1) ?? -1)
  return `${isEnd}${tokenizer.decode(isEnd ? ids.slice(0, -1) : ids)}`
}
