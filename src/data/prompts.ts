/** A prompt to generate completions for: its row, and its token ids. */
import type { Tokenizer } from '../text/tokenizer.ts'
import { shownTurn } from './messages.ts'
import { isIds, type Text } from './rows.ts'
import type { TemplateArguments } from './template.ts'

export type PromptExample = {
  prompt: Text
  /** What its chat template read beside the messages. */
  template?: TemplateArguments
  ids: number[]
  /** All columns of its row. */
  record: Readonly<Record<string, unknown>>
}

/** A prompt's text for people to read: a conversation message by message, ids decoded. */
export const promptText = ({ tokenizer }: { tokenizer?: Tokenizer }, prompt: Text): string => {
  if (typeof prompt === 'string') return prompt
  if (isIds(prompt)) return tokenizer ? tokenizer.decode(prompt) : prompt.join(' ')
  return prompt.map((message) => `${message.role}: ${shownTurn(message)}`).join('\n')
}
