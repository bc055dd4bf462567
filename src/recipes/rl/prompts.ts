/**
 * The prompts that a policy answers. Peculiar: a prompt over --max-prompt-length is left out and counted, never cut,
 * since an answer to half a question would be rewarded as one to the whole.
 */
import { type Encoder, encodePrompt, type Limits } from '../../data/examples.ts'
import { shownTurn } from '../../data/messages.ts'
import { isIds, type Prompt, type Text } from '../../data/rows.ts'
import { rowOrder } from '../../data/shuffle.ts'
import type { RowSource } from '../../data/source.ts'
import type { TemplateArguments } from '../../data/template.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { type ExampleStream, exampleStream } from '../../train/stream.ts'
import { requireKnownIds } from '../vocabulary.ts'
import type { Rewards } from './rewards.ts'

export type Encoding = {
  encoder: Encoder
  /** Undefined where rows are ids. */
  tokenizer?: Tokenizer
  limits: Limits
  eosIds: ReadonlySet<number>
}

export type PromptExample = {
  prompt: Text
  /** What its chat template read beside the messages. */
  template?: TemplateArguments
  ids: number[]
  /** All columns of its row. */
  record: Readonly<Record<string, unknown>>
}

export type PromptStream = ExampleStream<PromptExample>

export type PromptReaders = {
  encoding: Encoding
  /** Token ids of the policy. */
  vocabulary: number
  rewards: Pick<Rewards, 'requirePrompt'>
}

/** Prompts as the policy reads them; one that it or a reward cannot read is a Fault. */
export const promptStream = (
  { encoding: { encoder, limits }, vocabulary, rewards }: PromptReaders,
  rows: RowSource<Prompt>,
  settings: { seed: number; shuffle: boolean; epochs: number },
): PromptStream =>
  exampleStream<Prompt, PromptExample>({
    ...{ length: rows.length, row: rows.row, where: rows.where },
    ...{ epochs: settings.epochs, order: rowOrder(rows.length, settings) },
    example: (row) => {
      const { prompt, template, record = {} } = row
      const ids = encodePrompt(encoder, prompt, template)
      requireKnownIds(row, [ids], { size: vocabulary, encoder })
      if (ids.length === 0) return 'empty-prompt'
      const room = Math.min(limits.maxPromptLength ?? Number.POSITIVE_INFINITY, limits.maxLength - 1)
      if (ids.length > room) return 'prompt-too-long'
      const example = { prompt, template, ids, record }
      rewards.requirePrompt(example)
      return example
    },
    truncated: () => false,
    // Columns may be large, and prompts are few beside what is sampled from them
    keeps: 0,
  })

/** As a reader sees it: a conversation turn by turn, ids as the tokenizer reads them. */
export const promptText = ({ tokenizer }: Pick<Encoding, 'tokenizer'>, prompt: Text): string => {
  if (typeof prompt === 'string') return prompt
  if (isIds(prompt)) return tokenizer ? tokenizer.decode(prompt) : prompt.join(' ')
  return prompt.map((message) => `${message.role}: ${shownTurn(message)}`).join('\n')
}
