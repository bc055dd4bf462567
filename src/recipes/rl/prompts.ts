/**
 * The prompts that a policy answers. Peculiar: a prompt over --max-prompt-length is left out and counted, never cut,
 * since an answer to half a question would be rewarded as one to the whole.
 */

import { encodePrompt } from '../../data/examples.ts'
import type { PromptExample } from '../../data/prompts.ts'
import type { Prompt } from '../../data/rows.ts'
import { rowOrder } from '../../data/shuffle.ts'
import type { RowSource } from '../../data/source.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Rewards } from '../../rewards/rewards.ts'
import { type ExampleStream, exampleStream } from '../../train/stream.ts'
import { requireKnownIds } from '../trainer/dataset.ts'

export type PromptStream = ExampleStream<PromptExample>

export type PromptReaders = {
  tokenization: Tokenization
  rewards: Pick<Rewards, 'requirePrompt'>
}

/** Prompts as the policy reads them; one that it or a reward cannot read is a Fault. */
export const promptStream = (
  { tokenization, rewards }: PromptReaders,
  rows: RowSource<Prompt>,
  settings: { seed: number; shuffle: boolean; epochs: number },
): PromptStream =>
  exampleStream<Prompt, PromptExample>({
    ...{ length: rows.length, row: rows.row, where: rows.where },
    ...{ epochs: settings.epochs, order: rowOrder(rows.length, settings) },
    example: (row) => {
      const { prompt, template, record = {} } = row
      const { encoder, limits } = tokenization
      const ids = encodePrompt(encoder, prompt, template)
      requireKnownIds(row, [ids], tokenization)
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
