/** Responses that are good or bad, one a row. */
import { conform, type RecordLocation, rowFault } from './check.ts'
import { ownVote, schemas, type Unpaired } from './rows.ts'

type Columns = Record<string, unknown>

/** A conversation that is good or bad as a whole: its last message is the completion. */
export const unpairedMessages = (record: Columns, location: RecordLocation): Unpaired[] => {
  const { id, messages } = conform(schemas.messages, record, location)
  const { label } = conform(schemas.label, record, location)
  const [prompt, completion] = [messages.slice(0, -1), messages.slice(-1)]
  if (!prompt.length)
    throw rowFault('bad-value', 'holds one message; a response needs one before it', location, 'messages')
  return [{ kind: 'unpaired', id, prompt, completion, label }]
}

/** {prompt, completion, label} */
export const unpairedRow = (record: Columns, location: RecordLocation): Unpaired[] => {
  const { id, prompt, completion, label, ...voter } = conform(schemas.unpaired, record, location)
  return [{ kind: 'unpaired', id, prompt, completion, label, ...ownVote(voter) }]
}
