/**
 * Plain rows as conversations (`--chat`): a prompt is one turn of the user, a response one turn of the assistant, so that the
 * model's chat template renders both. Rows that are messages already stay as they are.
 */
import { type RecordLocation, rowFault } from './check.ts'
import type { Message } from './messages.ts'
import { isIds, isMessages, type Ranking, type Row, type Text } from './rows.ts'

const leaveOut = 'or leave --chat out (--no-chat)'

/** A text as the user's only turn. */
export const userTurn = (text: string): Message[] => [{ role: 'user', content: text }]

/** The text of a prompt that is a turn of the user alone, as `userTurn` makes it; others as they are. */
export const withoutTurn = (prompt: Text): Text => {
  if (!isMessages(prompt) || prompt.length > 1) return prompt
  const [{ role, content, ...more }] = prompt
  return role === 'user' && typeof content === 'string' && !Object.keys(more).length ? content : prompt
}

/**
 * The row with messages for its prompt. A response that is a text stays one: behind messages it is the assistant's turn.
 * @param asPrompt the row is read as a prompt, which a text alone may be
 * @throws Fault wrong-kind for a text without a prompt, and for token ids
 */
export const chatRow = (row: Row, location: RecordLocation, asPrompt = false): Row => {
  if (row.kind === 'messages') return row
  if (row.kind === 'labelled') throw idsFault(location, 'input_ids')
  if (row.kind === 'text') {
    if (isIds(row.text)) throw idsFault(location, 'text')
    if (asPrompt) return { ...row, kind: 'prompt', prompt: userTurn(row.text) }
    throw rowFault(
      'wrong-kind',
      `is one text, of which --chat cannot tell the turns; give prompt and completion, or messages, ${leaveOut}`,
      location,
      'text',
    )
  }
  const stray = responsesOf(row).find(isIds)
  if (isIds(row.prompt) || stray) throw idsFault(location, isIds(row.prompt) ? 'prompt' : undefined)
  if (isMessages(row.prompt)) return row
  if (row.kind === 'ranking' && row.turns) return dialogue(row, row.turns)
  return { ...row, prompt: userTurn(row.prompt) }
}

/** Responses as turns too, for a file that other programs read. */
export const withAnswerTurns = <R extends Row>(row: R): R => {
  if (row.kind === 'ranking') return { ...row, responses: row.responses.map(answerTurn) }
  return 'completion' in row ? { ...row, completion: answerTurn(row.completion) } : row
}

const answerTurn = (response: Text): Text =>
  typeof response === 'string' ? [{ role: 'assistant', content: response }] : response

/** HH-RLHF writes a space behind "Assistant:", which is no part of the response. */
const dialogue = (row: Ranking, turns: Message[]): Ranking => ({
  ...row,
  prompt: turns,
  responses: row.responses.map((response) => (typeof response === 'string' ? response.replace(/^ /, '') : response)),
})

const responsesOf = (row: Exclude<Row, { kind: 'text' | 'messages' | 'labelled' }>): Text[] => {
  if (row.kind === 'prompt') return []
  if (row.kind === 'ranking') return row.responses
  return [row.kind === 'rated' ? row.response : row.completion]
}

const idsFault = (location: RecordLocation, column: string | undefined) =>
  rowFault(
    'wrong-kind',
    `holds token ids, which no chat template renders; give texts or messages, ${leaveOut}`,
    location,
    column,
  )

/** A row of chosen and rejected alone, whose prompt is what both texts begin with: nobody wrote where it ends. */
export const noPromptFault = (location: RecordLocation) =>
  rowFault(
    'wrong-kind',
    `--chat needs the prompt in a column of its own, and here it is the common beginning of chosen and rejected; give prompt, chosen and rejected, or messages, ${leaveOut}`,
    location,
  )
