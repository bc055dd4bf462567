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

export const promptStream = (
  { encoder, limits }: Encoding,
  rows: RowSource<Prompt>,
  settings: { seed: number; shuffle: boolean; epochs: number },
): PromptStream =>
  exampleStream<Prompt, PromptExample>({
    ...{ length: rows.length, row: rows.row, epochs: settings.epochs, order: rowOrder(rows.length, settings) },
    example: ({ prompt, template, record = {} }) => {
      const ids = encodePrompt(encoder, prompt, template)
      if (ids.length === 0) return 'empty-prompt'
      const room = Math.min(limits.maxPromptLength ?? Number.POSITIVE_INFINITY, limits.maxLength - 1)
      return ids.length > room ? 'prompt-too-long' : { prompt, template, ids, record }
    },
    truncated: () => false,
  })

/** As a reader sees it: a conversation turn by turn, ids as the tokenizer reads them. */
export const promptText = ({ tokenizer }: Pick<Encoding, 'tokenizer'>, prompt: Text): string => {
  if (typeof prompt === 'string') return prompt
  if (isIds(prompt)) return tokenizer ? tokenizer.decode(prompt) : prompt.join(' ')
  return prompt.map((message) => `${message.role}: ${shownTurn(message)}`).join('\n')
}
