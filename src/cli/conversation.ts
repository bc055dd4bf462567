/**
 * A conversation and the ids that a model reads of it. Peculiar: when it outgrows the context, its oldest exchange is
 * left out, the system message never; a model without a chat template goes on with the plain text of it all.
 */
import { encodePrompt } from '../data/examples.ts'
import type { Message } from '../data/messages.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { badInput } from '../util/fault.ts'

export type Conversation = {
  readonly messages: readonly Message[]
  add(role: 'user' | 'assistant', content: string): void
  /** Takes back the last message. */
  undo(): void
  reset(): void
  /**
   * What the model reads to answer, and how many messages were left out for lack of room.
   * Throws a Fault 'bad-row' where the last message alone is too long.
   */
  prompt(): { ids: readonly number[]; dropped: number }
}

/** @param context tokens that the model can see   @param room of these, how many an answer may need at least */
export const conversation = (
  tokenizer: Tokenizer,
  { context, room, system }: { context: number; room: number; system?: string },
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
    undo() {
      messages.pop()
    },
    reset() {
      messages = [...opening]
    },
    prompt() {
      for (let dropped = 0; ; dropped += 2) {
        const shown = [...opening, ...messages.slice(opening.length + dropped)]
        if (shown.length === opening.length) throw badInput('bad-row', `is too long for a context of ${context} tokens`)
        const ids = encode(shown)
        if (ids.length + room <= context) return { ids, dropped }
      }
    },
  }
}
