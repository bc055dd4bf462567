/**
 * What a model is asked: to respond, to criticise its last reply, to revise it, and which of two replies is better. A chat
 * model gets messages. A model without a chat template gets a plain text with marked speakers, after examples.
 */
import { contentText, type Message } from '../../data/messages.ts'
import { afterReasoning } from '../judge/reasoning.ts'
import type { OptionQuestion, TextPrompt } from '../textModel/textModel.ts'
import { type Constitution, type CritiqueExample, fillFrame, type Principle } from './constitution.ts'

/** How a model is asked: by messages, or by a plain text. */
export type Form = 'chat' | 'text'

/** A conversation up to a reply, and the reply. */
export type Reply = { prompt: readonly Message[]; response: string }

/** Speakers of a plain text, as HH-RLHF marks them. */
const speakers: Readonly<Record<string, string>> = { user: 'Human', assistant: 'Assistant' }
const marks = ['Human', 'Assistant', 'Critique Request', 'Critique', 'Revision Request', 'Revision']

/** Strings that end what a model writes: in a plain text the mark of the next turn. */
export const stopsOf = (form: Form): string[] => (form === 'chat' ? [] : marks.map((mark) => `\n\n${mark}:`))

const turnText = (mark: string, text: string) => `\n\n${mark}: ${text}`

/** A conversation as plain text: "\n\nHuman: ...\n\nAssistant: ...". Other roles are named as they are. */
export const dialogueText = (messages: readonly Message[]): string =>
  messages.map((message) => turnText(speakers[message.role] ?? message.role, contentText(message))).join('')

/** A prompt as a model is asked: messages, or a text with marked speakers that the response continues. SFT rows have it too. */
export const responseRequest = (form: Form, prompt: readonly Message[]): TextPrompt =>
  form === 'chat' ? prompt : `${dialogueText(prompt)}\n\nAssistant:`

const user = (content: string): Message => ({ role: 'user', content })
const assistant = (content: string): Message => ({ role: 'assistant', content })

/** Asks for a critique of a reply under a principle. */
export const critiqueRequest = (
  form: Form,
  { frames, examples }: Constitution,
  { prompt, response }: Reply,
  { critique }: Principle,
): TextPrompt => {
  const request = fillFrame(frames.critique, { request: critique })
  if (form === 'chat') return [...prompt, assistant(response), user(request)]
  return [
    ...examples.map(exampleText),
    dialogueText([...prompt, assistant(response)]),
    turnText('Critique Request', request),
    '\n\nCritique:',
  ].join('')
}

/** Asks for a new reply in the light of a critique. */
export const revisionRequest = (
  form: Form,
  { frames, examples }: Constitution,
  { prompt, response }: Reply,
  principle: Principle,
  critique: string,
): TextPrompt => {
  const asked = fillFrame(frames.critique, { request: principle.critique })
  const request = fillFrame(frames.revision, { request: principle.revision })
  if (form === 'chat') return [...prompt, assistant(response), user(asked), assistant(critique), user(request)]
  return [
    ...examples.map(exampleText),
    dialogueText([...prompt, assistant(response)]),
    turnText('Critique Request', asked),
    turnText('Critique', critique),
    turnText('Revision Request', request),
    '\n\nRevision:',
  ].join('')
}

const exampleText = (example: CritiqueExample): string =>
  [
    dialogueText([user(example.prompt), assistant(example.response)]),
    turnText('Critique Request', example.critique_request),
    turnText('Critique', example.critique),
    turnText('Revision Request', example.revision_request),
    turnText('Revision', example.revision),
  ].join('')

/**
 * Asks which of two replies is better under a principle: both orders, and the two answers whose probabilities count.
 * @param question the principle's, for comparison
 * @returns in the first prompt the first reply is (A), in the second it is (B)
 */
export const comparisonQuestion = (
  form: Form,
  { frames }: Constitution,
  prompt: readonly Message[],
  question: string,
  [first, second]: readonly [string, string],
): OptionQuestion => {
  const asked = (a: string, b: string): TextPrompt => {
    const text = fillFrame(frames.comparison, { conversation: dialogueText(prompt).trim(), request: question, a, b })
    return form === 'chat' ? [user(text)] : `${text}\n\nThe answer is:`
  }
  const before = form === 'chat' ? '' : ' '
  return {
    prompts: [asked(first, second), asked(second, first)],
    options: [`${before}(A`, `${before}(B`],
  }
}

/**
 * A model's text without what it thought aloud before it, without white space around it, and without a mark that it repeats
 * ("Revision: ..."). Empty where its thoughts did not end.
 */
export const replyText = (text: string): string =>
  (afterReasoning(text) ?? '').trim().replace(/^(?:\*\*)?(?:Critique|Revision|Assistant):(?:\*\*)?\s*/, '')
