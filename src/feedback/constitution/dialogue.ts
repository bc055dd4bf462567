/**
 * What a model is asked: to respond, to criticise its last reply, to revise it, and which of two replies is better. A chat
 * model gets messages. A model without a chat template gets a plain text with marked speakers, after examples.
 */
import { contentText, type Message } from '../../data/messages.ts'
import type { RemotePrompt } from '../../endpoint/completions.ts'
import { type Constitution, type CritiqueExample, fillFrame, type Principle } from './constitution.ts'

/** How a model is asked: by messages, or by a plain text. */
export type Form = 'chat' | 'text'

/** A model's request: what it continues, and the strings that end its text. */
export type Asked = RemotePrompt & { stop: readonly string[] }

/** A conversation up to a reply, and the reply. */
export type Reply = { prompt: readonly Message[]; response: string }

/** Speakers of a plain text, as HH-RLHF marks them. */
const speakers: Readonly<Record<string, string>> = { user: 'Human', assistant: 'Assistant' }
const marks = ['Human', 'Assistant', 'Critique Request', 'Critique', 'Revision Request', 'Revision']
const stops = marks.map((mark) => `\n\n${mark}:`)

const turnText = (mark: string, text: string) => `\n\n${mark}: ${text}`

/** A conversation as plain text: "\n\nHuman: ...\n\nAssistant: ...". Other roles are named as they are. */
export const dialogueText = (messages: readonly Message[]): string =>
  messages.map((message) => turnText(speakers[message.role] ?? message.role, contentText(message))).join('')

/** The plain text that a response continues, and what an SFT row of it has as its prompt. */
export const dialoguePrompt = (prompt: readonly Message[]): string => `${dialogueText(prompt)}\n\nAssistant:`

const user = (content: string): Message => ({ role: 'user', content })
const assistant = (content: string): Message => ({ role: 'assistant', content })

/** Asks for the next reply of a conversation. */
export const responseRequest = (form: Form, prompt: readonly Message[]): Asked =>
  form === 'chat' ? { messages: prompt, stop: [] } : { prompt: dialoguePrompt(prompt), stop: stops }

/** Asks for a critique of a reply under a principle. */
export const critiqueRequest = (
  form: Form,
  { frames, examples }: Constitution,
  { prompt, response }: Reply,
  { critique }: Principle,
): Asked => {
  const request = fillFrame(frames.critique, { request: critique })
  if (form === 'chat') return { messages: [...prompt, assistant(response), user(request)], stop: [] }
  const text = dialogueText([...prompt, assistant(response)]) + turnText('Critique Request', request)
  return { prompt: `${examplesText(examples)}${text}\n\nCritique:`, stop: stops }
}

/** Asks for a new reply in the light of a critique. */
export const revisionRequest = (
  form: Form,
  { frames, examples }: Constitution,
  { prompt, response }: Reply,
  principle: Principle,
  critique: string,
): Asked => {
  const asked = fillFrame(frames.critique, { request: principle.critique })
  const request = fillFrame(frames.revision, { request: principle.revision })
  if (form === 'chat')
    return {
      messages: [...prompt, assistant(response), user(asked), assistant(critique), user(request)],
      stop: [],
    }
  const text = [
    dialogueText([...prompt, assistant(response)]),
    turnText('Critique Request', asked),
    turnText('Critique', critique),
    turnText('Revision Request', request),
  ].join('')
  return { prompt: `${examplesText(examples)}${text}\n\nRevision:`, stop: stops }
}

const examplesText = (examples: readonly CritiqueExample[]): string =>
  examples
    .map((example) =>
      [
        dialogueText([user(example.prompt), assistant(example.response)]),
        turnText('Critique Request', example.critique_request),
        turnText('Critique', example.critique),
        turnText('Revision Request', example.revision_request),
        turnText('Revision', example.revision),
      ].join(''),
    )
    .join('')

/** The question which of two replies is better under a principle, to be answered (A) or (B). */
export const comparisonText = (
  { frames }: Constitution,
  prompt: readonly Message[],
  question: string,
  [a, b]: readonly [string, string],
): string => fillFrame(frames.comparison, { conversation: dialogueText(prompt).trim(), request: question, a, b })

/** A model's text without white space around it and without the mark that it may repeat ("Revision: ..."). */
export const replyText = (text: string): string =>
  text.trim().replace(/^(?:\*\*)?(?:Critique|Revision|Assistant):(?:\*\*)?\s*/, '')
