/**
 * Records in the shapes of other programs, as records with the usual columns: Alpaca and Dolly, LLaMA-Factory, OpenAI's
 * preference files, turns of chats under other names, completions with scores (UltraFeedback), and two responses with a
 * column that names the winner.
 */
import { type RecordLocation, rowFault } from './check.ts'
import { isObject } from './issue.ts'
import { isMessage } from './messages.ts'

type Columns = Record<string, unknown>
/** A record under the usual names, and what the file calls columns that were renamed. */
export type Shaped = {
  record: Columns
  own?: Map<string, string>
  /** Why it gives no row. */
  skipped?: string
}

const isThere = (value: unknown) => value !== null && value !== undefined
const has = (record: Columns, ...names: string[]) => names.some((name) => isThere(record[name]))
/** The columns but some. Object.fromEntries defines, so that a column "__proto__" stays a column. */
const without = (record: Columns, ...names: string[]): Columns =>
  Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)))

const user = (content: unknown) => ({ role: 'user', content })
const assistant = (content: unknown) => ({ role: 'assistant', content })

/**
 * {instruction, input, output, system, history}: the instruction and what it is about, with a line break between, are
 * the user's turn, as in LLaMA-Factory. Dolly calls them context and response. An output that is a list has the better
 * one first.
 */
const alpaca = (record: Columns, location: RecordLocation): Shaped => {
  const input = has(record, 'input') ? 'input' : 'context'
  const output = 'output' in record ? 'output' : 'response'
  const { instruction, system, history } = record
  for (const name of ['instruction', input, 'system'])
    if (isThere(record[name]) && typeof record[name] !== 'string')
      throw rowFault('wrong-type', 'must be text', location, name)
  const prompt = [
    ...(system ? [{ role: 'system', content: system }] : []),
    ...exchanges(history, location),
    user([instruction, record[input]].filter(Boolean).join('\n')),
  ]
  const answer = record[output]
  const rest = without(record, 'instruction', input, output, 'system', 'history')
  const own = new Map([
    ['prompt', 'instruction'],
    ['completion', output],
  ])
  if (has(record, 'chosen', 'rejected')) return { record: { ...rest, prompt }, own }
  if (Array.isArray(answer)) {
    if (answer.length !== 2)
      throw rowFault('bad-value', `holds ${answer.length} texts; a list is [chosen, rejected]`, location, output)
    return { record: { ...rest, prompt, chosen: answer[0], rejected: answer[1] }, own }
  }
  return { record: { ...rest, prompt, ...(output in record && { completion: answer }) }, own }
}

const exchanges = (history: unknown, location: RecordLocation) => {
  if (!isThere(history)) return []
  const turns = Array.isArray(history) ? history : [undefined]
  return turns.flatMap((turn) => {
    if (!Array.isArray(turn) || turn.length !== 2 || turn.some((text) => typeof text !== 'string'))
      throw rowFault('wrong-type', 'must be a list of [question, answer]', location, 'history')
    return [user(turn[0]), assistant(turn[1])]
  })
}

const TURNS = ['turns', 'conversation', 'dialogue', 'dialog', 'chat']

/** A list of turns: messages, {"input", "output"} in pairs (Capybara), or texts of user and assistant by turns. */
const turnsOf = (column: string, record: Columns): unknown[] | undefined => {
  const value = record[column]
  if (!Array.isArray(value) || !value.length) return
  if (value.every((turn) => isObject(turn) && typeof turn.input === 'string' && typeof turn.output === 'string'))
    return value.flatMap(({ input, output }) => [user(input), assistant(output)])
  if (isMessage(value[0])) return value
  if (value.every((turn) => typeof turn === 'string'))
    return value.map((text, i) => (i % 2 ? assistant(text) : user(text)))
}

const chat = (column: string, record: Columns, location: RecordLocation): Shaped => {
  // MT-Bench: two questions of the user, one after the other
  if (isThere(record.question_id) && (record[column] as unknown[]).every((turn) => typeof turn === 'string'))
    throw rowFault(
      'bad-value',
      'holds the questions of a benchmark (question_id), without answers; write {"prompt": first question} for each',
      location,
      column,
    )
  const name = has(record, 'chosen', 'rejected') ? 'prompt' : 'messages'
  return {
    record: { ...without(record, column, name), [name]: turnsOf(column, record) },
    own: new Map([[name, column]]),
  }
}

/** {"input": {"messages", "tools"}, "preferred_output", "non_preferred_output"} of OpenAI. */
const openAiPreference = (record: Columns, location: RecordLocation): Shaped => {
  const { input } = record
  if (!isObject(input)) throw rowFault('wrong-type', 'must be an object with "messages"', location, 'input')
  return {
    record: {
      ...without(record, 'input', 'preferred_output', 'non_preferred_output'),
      ...(isThere(input.tools) && { tools: input.tools }),
      prompt: input.messages,
      chosen: record.preferred_output,
      rejected: record.non_preferred_output,
    },
    own: new Map([
      ['prompt', 'input'],
      ['chosen', 'preferred_output'],
      ['rejected', 'non_preferred_output'],
    ]),
  }
}

/** Scores of a completion in UltraFeedback and its relatives, the first that is there; the overall score is that of its authors. */
const SCORES = ['overall_score', 'fine-grained_score', 'fine_grained_score', 'score', 'rating'] as const
const ANSWERS = ['response', 'content', 'text', 'completion'] as const

const scoreOf = (completion: Columns): number | undefined => {
  const given = SCORES.map((name) => completion[name]).find((value) => isThere(value) && value !== '')
  const score = typeof given === 'string' ? Number(given) : given
  return typeof score === 'number' && Number.isFinite(score) ? score : undefined
}

/** {"instruction", "completions": [{"response", "overall_score"}]}: two or more answers to one prompt, each with a score. */
const isScored = ({ completions }: Columns): boolean =>
  Array.isArray(completions) &&
  completions.length > 0 &&
  completions.every((each) => isObject(each) && ANSWERS.some((name) => typeof each[name] === 'string'))

/** The completions by score; equal scores tie, and one without a score is not ranked. Fewer than two scores rank nothing. */
const scored = (record: Columns, location: RecordLocation): Shaped => {
  const completions = record.completions as Columns[]
  const asked = ['prompt', 'instruction', 'question'].find((name) => isThere(record[name]))
  if (!asked) throw rowFault('missing-column', 'is missing; completions need their prompt', location, 'prompt')
  const scores = completions.map(scoreOf)
  const better = [...new Set(scores.filter((score) => score !== undefined))].sort((a, b) => b - a)
  return {
    record: {
      ...without(record, 'completions', 'instruction', asked, 'correct_answers', 'incorrect_answers'),
      prompt: typeof record[asked] === 'string' ? [user(record[asked])] : record[asked],
      responses: completions.map((each) => each[ANSWERS.find((name) => typeof each[name] === 'string')!]),
      ranks: scores.map((score) => (score === undefined ? null : 1 + better.indexOf(score))),
    },
    own: new Map([
      ['prompt', asked],
      ['responses', 'completions'],
    ]),
    ...(scores.filter(isThere).length < 2 && { skipped: 'too-few-scores' }),
  }
}

const PAIRS = [
  ['response_a', 'response_b'],
  ['response_0', 'response_1'],
  ['response_1', 'response_2'],
  ['answer_a', 'answer_b'],
  ['answer_1', 'answer_2'],
  ['completion_a', 'completion_b'],
  ['conversation_a', 'conversation_b'],
] as const
const WINNERS = ['winner', 'preferred', 'preference', 'better_response_id', 'better']

const pairOf = (record: Columns) => PAIRS.find(([a, b]) => has(record, a) && has(record, b))
const winnerOf = (record: Columns) => WINNERS.find((name) => isThere(record[name]))

/** Two responses and which of them won: a or b, model_a, response_1, the number at the end of its column, or tie. */
const judged = (record: Columns, location: RecordLocation): Shaped => {
  const [a, b] = pairOf(record)!
  const column = winnerOf(record)!
  const word = String(record[column]).trim().toLowerCase()
  const place = word.replace(/^(model|response|answer|completion|conversation|assistant)[ _-]?/, '')
  const places = [a, b].map((name) => name.slice(name.lastIndexOf('_') + 1))
  const rest = without(record, a, b, column)
  const tie = /^(tie|both|neither|equal|draw)/.test(word)
  const at = places.indexOf(place)
  if (!tie && at < 0)
    throw rowFault(
      'bad-value',
      `is ${quotedWord(word)}, but the responses are ${a} and ${b}: write ${places.join(', ')} or tie`,
      location,
      column,
    )
  const given = record.prompt ?? record.question ?? record.query ?? record.instruction
  const sides = [record[a], record[b]]
  // Whole conversations: their common beginning is the prompt
  const common = isThere(given) ? 0 : commonTurns(sides)
  if (!isThere(given) && !common)
    throw rowFault('missing-column', 'is missing; a pair needs its prompt', location, 'prompt')
  return {
    record: {
      ...rest,
      prompt: given ?? (sides[0] as unknown[]).slice(0, common),
      responses: common ? sides.map((side) => (side as unknown[]).slice(common)) : sides,
      ranks: tie ? [1, 1] : at === 0 ? [1, 2] : [2, 1],
    },
    own: new Map([['responses', a]]),
  }
}

/** How many turns two conversations begin with alike, at most all but the last. */
const commonTurns = ([a, b]: unknown[]): number => {
  if (!Array.isArray(a) || !Array.isArray(b)) return 0
  const most = Math.min(a.length, b.length) - 1
  const at = a.findIndex((turn, i) => i >= most || JSON.stringify(turn) !== JSON.stringify(b[i]))
  return Math.max(0, Math.min(at < 0 ? most : at, most))
}

const quotedWord = (word: string) => JSON.stringify(word.slice(0, 40))

/** The record with the usual columns, or as it is. */
export const usualShape = (given: Columns, location: RecordLocation): Shaped => {
  const tagged = isThere(given.kto_tag) && !isThere(given.label)
  const record = tagged ? { ...without(given, 'kto_tag', 'label'), label: given.kto_tag } : given
  const tag: [string, string][] = tagged ? [['label', 'kto_tag']] : []
  const tagging = ({ own, ...shaped }: Shaped): Shaped => ({ ...shaped, own: new Map([...tag, ...(own ?? [])]) })
  if (has(record, 'preferred_output', 'non_preferred_output')) return tagging(openAiPreference(record, location))
  const known = has(record, 'messages', 'completion', 'text', 'responses', 'input_ids')
  if (!known && isScored(record)) return tagging(scored(record, location))
  if (!known && pairOf(record) && winnerOf(record) && !has(record, 'chosen', 'rejected'))
    return tagging(judged(record, location))
  if (!known && !has(record, 'prompt') && typeof record.instruction === 'string')
    return tagging(alpaca(record, location))
  const column = known || has(record, 'prompt') ? undefined : TURNS.find((name) => turnsOf(name, record))
  return column ? tagging(chat(column, record, location)) : tagged ? tagging({ record }) : { record }
}
