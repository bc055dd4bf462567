/**
 * A chat and the prompt that a model reads of it, as token ids. When the chat outgrows the context, its oldest exchanges are
 * left out, but never the system message. A model without a chat template gets the messages as plain lines to continue.
 */
import { encodePrompt } from '../data/examples.ts'
import type { Message } from '../data/messages.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { badInput } from '../util/fault.ts'

export type Conversation = {
  readonly messages: readonly Message[]
  add(role: 'user' | 'assistant', content: string): void
  removeLast(): void
  /** Starts again, with the system message alone. */
  reset(): void
  /**
   * The prompt for the next completion, and how many messages were left out of it because they do not fit.
   * Throws a Fault 'bad-row' if the last message alone is too long.
   */
  prompt(): { ids: readonly number[]; dropped: number }
}

/** @param context tokens of the model's context   @param reserved how many of them are kept free for the completion */
export const makeConversation = (
  tokenizer: Tokenizer,
  { context, reserved, system }: { context: number; reserved: number; system?: string },
): Conversation => {
  const opening = system ? [{ role: 'system', content: system }] : []
  let messages: Message[] = [...opening]
  const encode = (shown: Message[]) =>
    encodePrompt(tokenizer, tokenizer.chat ? shown : shown.map(({ content }) => content).join('\n'))
  return {
    get messages() {
      return messages
    },
    add(role, content) {
      messages.push({ role, content })
    },
    removeLast() {
      messages.pop()
    },
    reset() {
      messages = [...opening]
    },
    prompt() {
      // A question and its answer are left out together
      for (let dropped = 0; ; dropped += 2) {
        const shown = [...opening, ...messages.slice(opening.length + dropped)]
        if (shown.length === opening.length) throw badInput('bad-row', `is too long for a context of ${context} tokens`)
        const ids = encode(shown)
        if (ids.length + reserved <= context) return { ids, dropped }
      }
    },
  }
}
