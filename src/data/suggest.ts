/**
 * Which column of an unknown file may be which of the columns that a command reads, by likeness of names and by the
 * values: the flags that would read the file, for a message.
 */
import { nearest } from '../util/nearest.ts'
import { quoted } from '../util/quote.ts'
import { isObject } from './issue.ts'
import { isBlankLabel, isRating, labelWord } from './labelRule.ts'
import { isMessage, type Message } from './messages.ts'
import { transcriptHint } from './otherKeys.ts'

type Columns = Readonly<Record<string, unknown>>
/** The kinds of rows that commands read, as in convert.ts. */
export type Wanted = 'ranking' | 'unpaired' | 'sft' | 'prompt' | 'completion'

/** Sets of columns that each kind is read from, the usual one first, and the command that reads them. */
const needs: Readonly<Record<Wanted, { sets: readonly (readonly Role[])[]; words: string; commands: string }>> = {
  ranking: {
    sets: [
      ['prompt', 'chosen', 'rejected'],
      ['chosen', 'rejected'],
      ['prompt', 'responses', 'ranks'],
    ],
    words: 'prompt, chosen and rejected, or prompt, responses and ranks',
    commands: 'dpo and reward',
  },
  unpaired: {
    sets: [
      ['prompt', 'completion', 'label'],
      ['messages', 'label'],
    ],
    words: 'prompt, completion and label, or messages and label',
    commands: 'kto',
  },
  sft: {
    sets: [['prompt', 'completion'], ['messages'], ['text']],
    words: 'messages, or prompt and completion, or text',
    commands: 'sft',
  },
  completion: {
    sets: [['prompt', 'completion'], ['messages']],
    words: 'prompt and completion, or messages',
    commands: 'spin, asft, distill and selfreward',
  },
  prompt: { sets: [['prompt']], words: 'prompt', commands: 'grpo and generate' },
}

const synonyms = {
  prompt:
    'prompt question query instruction input user ask request source problem context task human customer client guest visitor patient student member caller inquiry enquiry frage pregunta',
  chosen:
    'chosen good better best preferred winner win won accepted positive pos right upvoted corrected improved edited revised fixed ideal suggested expert staff employee j top',
  rejected: 'rejected bad worse worst loser lose lost dispreferred negative neg wrong downvoted k',
  completion:
    'completion answer response output reply assistant target generated generation solution result bot antwort respuesta',
  label: 'label thumb thumbs rating score stars star feedback vote liked like good quality verdict helpful',
  text: 'text content body document story article passage',
  messages: 'messages dialog dialogue chat conversation conversations history turns thread',
  responses: 'responses answers completions candidates outputs',
  ranks: 'ranks ranking ranked order',
} as const
type Role = keyof typeof synonyms
const lists = Object.fromEntries(Object.entries(synonyms).map(([role, words]) => [role, words.split(' ')])) as Record<
  Role,
  string[]
>

const tokensOf = (column: string) =>
  column
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean)

/** As in the list, or a plural or a past tense of a word of it: answers, answered, replied. */
const isWordOf = (token: string, role: Role) => {
  const stems = [token, token.replace(/s$/, ''), token.replace(/ed$/, ''), token.replace(/ied$/, 'y')]
  return stems.some((stem) => lists[role].includes(stem))
}

/** Columns of the better and the worse of two answers, which are no place for the only one. */
const isSide = (column: string) =>
  tokensOf(column).some((token) => isWordOf(token, 'chosen') || isWordOf(token, 'rejected'))

/** How well a name fits a role, 0 to 4. */
const likeness = (column: string, role: Role): number => {
  const tokens = tokensOf(column)
  if (column.toLowerCase() === role) return 4
  if (tokens.some((token) => isWordOf(token, role))) {
    if (tokens.length === 1) return 3
    return role === 'completion' && isSide(column) ? 2 : 2.5
  }
  const near = tokens.map((token) => (token.length > 3 ? nearest(token, [role]) : undefined))
  if (near.some((name, i) => name && Math.abs(tokens[i].length - role.length) <= 2 && closeTo(tokens[i], role)))
    return 2
  return 0
}

/** One or two letters apart. */
const closeTo = (token: string, role: string) => {
  const shared = [...token].filter((letter) => role.includes(letter)).length
  return shared >= Math.min(token.length, role.length) - 1
}

/** Whether a value can be what a role holds. */
const holds = (value: unknown, role: Role): boolean => {
  if (role === 'messages') return isConversation(value) && value.at(-1)?.role === 'assistant'
  if (role === 'responses') return Array.isArray(value) && value.length > 1 && typeof value[0] === 'string'
  if (role === 'ranks') return Array.isArray(value) && value.some((rank) => typeof rank === 'number')
  if (role === 'label')
    return (
      typeof value === 'boolean' ||
      typeof value === 'number' ||
      (typeof value === 'string' && value.length > 0 && value.length <= 24)
    )
  if (role === 'text') return typeof value === 'string'
  return typeof value === 'string' || isConversation(value)
}

const isConversation = (value: unknown): value is Message[] =>
  Array.isArray(value) && value.length > 0 && isMessage(value[0])

/** A cell that nobody filled in, in a column that is named like a label. */
const isUnfilledLabel = (value: unknown, name: string, role: Role) =>
  role === 'label' && isBlankLabel(value) && likeness(name, role) > 2

/** Columns that are looked at: a record of a stranger may have any number. */
const SHOWN = 20

const NO_TEXT = /^(id|.*_id|uuid|url|date|time.*|.*_at|source|split|lang(uage)?|category|model.*|author|name)$/i

type Guess = { columns: Map<Role, string>; missing: Role[]; score: number; guessed: boolean }

/** The best columns for the roles, and roles that none is left for. */
const assign = (record: Columns, roles: readonly Role[]): Guess => {
  const names = Object.keys(record).slice(0, SHOWN)
  const fits = roles
    .flatMap((role) =>
      names
        .filter((name) => holds(record[name], role) || isUnfilledLabel(record[name], name, role))
        .map((name) => ({
          role,
          name,
          score: likeness(name, role) + bonus(record[name], role),
        })),
    )
    .sort((a, b) => b.score - a.score)
  const columns = new Map<Role, string>()
  const taken = new Set<string>()
  let score = 0
  for (const fit of fits) {
    if (fit.score < 1 || columns.has(fit.role) || taken.has(fit.name)) continue
    columns.set(fit.role, fit.name)
    taken.add(fit.name)
    score += fit.score
  }
  // What names do not say, values do: the longest texts are answers, a message's list is told by itself
  const left = roles.filter((role) => !columns.has(role))
  const free = names
    .filter((name) => !taken.has(name) && !NO_TEXT.test(name))
    .sort((a, b) => String(record[b]).length - String(record[a]).length)
  const order: readonly Role[] = ['messages', 'label', 'completion', 'text', 'chosen', 'rejected', 'prompt']
  let guessed = false
  for (const role of order.filter((role) => left.includes(role))) {
    const at = role === 'label' ? labelAt(record, free) : free.findIndex((name) => mayHold(record[name], role))
    if (at < 0) continue
    columns.set(role, free[at])
    if (role !== 'messages') guessed = true
    score += 0.5
    free.splice(at, 1)
  }
  const missing = roles.filter((role) => !columns.has(role))
  return { columns, missing, score: score / roles.length, guessed }
}

/** How well a value fits a role: a conversation that ends with the user waits for a completion, whatever its name. */
const bonus = (value: unknown, role: Role) => {
  if (role === 'label') return typeBonus(value)
  return role === 'prompt' && isConversation(value) && value.at(-1)?.role === 'user' ? 3 : 0
}

/** A label of true and false, or of words that say good and bad. */
const typeBonus = (value: unknown) => (labelWord(value) !== undefined ? 1 : typeof value === 'number' ? 0.4 : 0)

/** The likeliest label by its values, else the shortest text. */
const labelAt = (record: Columns, free: readonly string[]): number => {
  const at = free.findIndex((name) => holds(record[name], 'label') && typeBonus(record[name]) > 0)
  return at >= 0 ? at : free.findLastIndex((name) => holds(record[name], 'label'))
}

const mayHold = (value: unknown, role: Role) =>
  holds(value, role) && (role === 'messages' || typeof value !== 'string' || labelWord(value) === undefined)

/** The columns that rows of a kind are read from. */
export const wordsFor = (kind: Wanted): string => needs[kind].words

/** What the command needs, a line for each. */
const neededColumns = (as?: Wanted): string[] =>
  (as ? [as] : (['sft', 'ranking', 'unpaired'] as const)).map((kind) => {
    const { commands, words } = needs[kind]
    return `${commands} ${commands.includes(' and ') ? 'need' : 'needs'} ${words}`
  })

/** The set of columns that the record comes nearest to; undefined where none fits. */
const nearestSet = (record: Columns, as?: Wanted) => {
  const kinds = as ? [as] : (['ranking', 'unpaired', 'sft'] as const)
  return kinds
    .flatMap((kind) => needs[kind].sets.map((roles) => ({ roles, guess: assign(record, roles) })))
    .filter(({ guess: { columns } }) => [...columns.keys()].some((role) => role !== 'label' && role !== 'ranks'))
    .sort((a, b) => rating(b.guess, b.roles) - rating(a.guess, a.roles))
    .at(0)
}

/** What makes pairs of answers that were rated one by one; undefined where the record is none. */
const ratedAlone = (record: Columns): string | undefined => {
  const { columns, missing } = assign(record, ['prompt', 'completion', 'label'])
  const label = record[columns.get('label') ?? '']
  if (missing.length || !(isBlankLabel(label) || isRating(label) || labelWord(label) !== undefined)) return undefined
  const roles = ['prompt', 'completion', 'label'] as const
  const flags = [...roles.flatMap((role) => columnFlag(role, columns.get(role))), ...labelFlag(columns, record)]
  return `this looks like answers that were rated one by one: attune data FILE --to preference --output PAIRS.jsonl puts a good and a bad one to the same prompt together, attune kto learns from each${flags.length ? `; both with ${flags.join(' ')}` : ''}`
}

/** The nearest kind and the flags that would read the record as it; undefined where there are none. */
export const nearestColumns = (record: Columns, as?: Wanted): string | undefined => {
  const best = nearestSet(record, as)
  const rated = as === 'ranking' && best?.guess.missing.length ? ratedAlone(record) : undefined
  if (rated) return rated
  // Beside the turns of a chat what else holds a text is hardly what was asked and answered
  if (!best || (best.guess.guessed && transcriptHint(record).length > 0)) return undefined
  const { columns, guessed, missing } = best.guess
  const flags = [...best.roles.flatMap((role) => columnFlag(role, columns.get(role))), ...labelFlag(columns, record)]
  if (!flags.length && !missing.length) return undefined
  const why = guessed ? ' (guessed by what the columns hold: look whether it is so)' : ''
  const lacks = missing.length ? `no column looks like ${missing.join(' or ')}: add it` : ''
  return `nearest is ${best.roles.join(', ')}: ${[flags.join(' ') + why, lacks].filter(Boolean).join('; ')}`
}

const columnFlag = (role: Role, name: string | undefined): string[] =>
  name === undefined || name === role ? [] : [`--column ${shellPair(role, name)}`]

/** The flags that read pairs where a better answer stands beside one that is labelled. */
const besideLabel = (record: Columns): string[] => {
  const { columns, guessed, missing } = assign(record, ['prompt', 'completion', 'label'])
  if (guessed || missing.length) return []
  const taken = [...columns.values()]
  const better = Object.keys(record)
    .slice(0, SHOWN)
    .find(
      (name) =>
        !taken.includes(name) &&
        likeness(name, 'chosen') > 2 &&
        (record[name] === null || holds(record[name], 'chosen')),
    )
  if (better === undefined) return []
  const pair = { prompt: columns.get('prompt')!, chosen: better, rejected: columns.get('completion')! }
  const flags = (['prompt', 'chosen', 'rejected'] as const).flatMap((role) => columnFlag(role, pair[role]))
  return [`dpo reads the rows where ${quoted(better, 60)} has an answer as pairs: ${flags.join(' ')}`]
}

/** Lines below the message of a record that a command cannot read: what the command needs, and the flags that would read it. */
export const suggestion = (record: Columns, as?: Wanted): string[] => [
  ...neededColumns(as),
  ...(transcriptOf(record, as) ?? (twinsOf(record).length ? [] : [nearestColumns(record, as) ?? held(record, as)])),
  ...(as ? [] : besideLabel(record)),
  ...answersInColumns(record),
  ...chatFlag(record, as),
]

/** Columns of texts whose names differ in a last letter or number alone: Answer A, Answer B. */
const twinsOf = (record: Columns): string[] => {
  const groups = new Map<string, string[]>()
  for (const name of Object.keys(record).slice(0, SHOWN)) {
    const [, stem] = /^(.*?[^\s_-])[\s_-]*(?:\d{1,2}|(?<=[\s_-])[A-Za-z])$/.exec(name) ?? []
    if (stem && typeof record[name] === 'string') groups.set(stem, [...(groups.get(stem) ?? []), name])
  }
  return (
    [...groups.values()].find((names) => names.length > 1 && names.some((name) => isLong(record[name] as string))) ?? []
  )
}

/** More than a rank, a date or a name. */
const isLong = (text: string) => text.length > 20 || text.trim().includes(' ')

const answersInColumns = (record: Columns): string[] => {
  const twins = twinsOf(record)
  if (!twins.length) return []
  const names = twins.map((name) => quoted(name, 40)).join(', ')
  return [
    `${names} look like several answers to one question: write such rows as {"prompt": "...", "responses": ["...", "..."], "ranks": [1, 2]}, where rank 1 is the best`,
  ]
}

/** A chat of other keys, where columns of the row do not fit. */
const transcriptOf = (record: Columns, as?: Wanted): string[] | undefined => {
  const guess = nearestSet(record, as)?.guess
  const hint = guess && !guess.guessed && !guess.missing.length ? [] : transcriptHint(record)
  return hint.length ? hint : undefined
}

/** Plain prompts are no messages yet: a stranger's table seldom comes in the form of a chat. */
const chatFlag = (record: Columns, as?: Wanted): string[] => {
  const prompt = transcriptOf(record, as) ? undefined : nearestSet(record, as)?.guess.columns.get('prompt')
  return prompt !== undefined && typeof record[prompt] === 'string'
    ? ["for a chat model add --chat: texts are then read as a user's messages and the assistant's"]
    : []
}

/** More columns that fit by name are better; those that only values speak for, or that lack some, are worse. */
const rating = ({ score, guessed, missing }: Guess, roles: readonly Role[]) =>
  score + (roles.length - missing.length) / 10 - (guessed ? 1 : 0) - missing.length / 2

const shellPair = (role: string, name: string) => {
  const pair = `${role}=${name}`
  return /^[\w=.:/@+-]+$/.test(pair) ? pair : `'${pair.replaceAll("'", "'\\''")}'`
}

/** A label that does not say by itself what is good. */
const labelFlag = (columns: ReadonlyMap<Role, string>, record: Columns): string[] => {
  const column = columns.get('label')
  const value = column === undefined ? true : record[column]
  // A single 1 or 0 is both a word and the end of a scale: the reader takes the word until a rating tells
  if (labelWord(value) !== undefined || isBlankLabel(value)) return []
  if (isRating(value)) return ["--label '>=4'"]
  return [`--label '${String(value).replaceAll("'", "'\\''")}=true,other=false'`]
}

/** What the columns hold, where no flag would help. */
const held = (record: Columns, as?: Wanted): string => {
  const entries = Object.entries(record).slice(0, SHOWN)
  const texts = entries.filter(([name, value]) => typeof value === 'string' && value && !NO_TEXT.test(name))
  const flags = entries.filter(([, value]) => typeof value === 'boolean').map(([name]) => quoted(name, 60))
  const inner = entries.find(([, value]) => isObject(value) || (Array.isArray(value) && isObject(value[0])))
  const longest = texts.sort((a, b) => String(b[1]).length - String(a[1]).length)[0]
  const parts = [
    longest ? `the longest text is in ${quoted(longest[0], 60)}` : 'no column holds a text',
    flags.length && `true or false in ${flags.join(', ')}`,
    inner && `objects are in ${quoted(inner[0], 60)}: write what is inside as columns of the row`,
  ].filter(Boolean)
  const mend = texts.length
    ? `name the columns with --column ${as === 'ranking' ? 'chosen' : 'prompt'}=COLUMN and add what is missing`
    : inner
      ? ''
      : 'write the texts as columns'
  return [parts.join('; '), mend].filter(Boolean).join('; ')
}
