/** Responses one a row: good or bad, or rated. */
import { conform, type RecordLocation, rowFault } from './check.ts'
import { ownVote, type Rated, schemas, type Unpaired } from './rows.ts'

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

const ratings = ['helpfulness', 'correctness', 'coherence', 'complexity', 'verbosity'] as const

/** {prompt, response, helpfulness, ...} of HelpSteer2 */
export const ratedRow = (record: Columns, location: RecordLocation): Rated[] => {
  const { id, prompt, response, ...row } = conform(schemas.rated, record, location)
  const own: Rated['ratings'] = {}
  for (const name of ratings) if (typeof row[name] === 'number') own[name] = row[name]
  return [{ kind: 'rated', id, prompt, response, ratings: own }]
}
