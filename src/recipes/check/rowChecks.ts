/**
 * What is wrong with the rows of a run, added up row by row. `attune check` and every training command look at rows with it, so
 * that both find the same.
 */
import { hash } from 'node:crypto'
import { plainOf } from '../../data/plainText.ts'
import { isMessages, type Row, type Text } from '../../data/rows.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Where } from '../../util/fault.ts'
import { type Finding, isRuin, judge, note, type Tally } from './findings.ts'
import {
  type CheckedMethod,
  isCutAtStop,
  type RowTexts,
  type Sequence,
  textSigns,
  textsOf,
  tokenSigns,
} from './rowSigns.ts'

/** A row, what was made of it or why it is dropped, and what was odd about it on the way. */
export type SeenRow = { row: Row; made: Made | string; odd: Iterable<string>; where: Where }
/** The sequences are made only of rows that are looked at closely. */
export type Made = { truncated: boolean; sequences(): Sequence[] }

export type RowChecks = {
  method: CheckedMethod
  /** A training row. */
  train(seen: SeenRow): void
  /** A held-out row, after all training rows. */
  held(seen: Omit<SeenRow, 'odd'>): void
  /** A row that training would refuse with this fault. */
  refused(row: Row, fault: { code: string; message: string }, where: Where, held?: boolean): void
  totals(): Totals
  /** Training rows that are no conversations: neither messages nor read with --chat. */
  plainRows(): number
  /** @param records of the files that gave no row, by reason */
  findings(records?: Readonly<Record<string, number>>): Finding[]
}

export type Totals = {
  rows: number
  used: number
  evalRows: number
  /** Tokens of the longest sequence, of all sequences, and how many of these are learnt: of rows that are looked at closely. */
  longest: number
  tokens: number
  trained: number
}

type State = Totals & {
  plain: number
  evalUsed: number
  /** Responses of a row. */
  most: number
  /** Signs of all rows, and of those that are looked at closely. */
  tally: Tally
  close: { tally: Tally; rows: number; used: number }
  drops: Tally
  faults: Map<string, string>
  good: number
  bad: number
  /** Training rows. */
  seen: Set<number>
  prompts: Same
  completions: Same
}

/** Behind a prompt of messages every response is a turn. */
const isPlain = (row: Row): boolean => row.kind !== 'messages' && !('prompt' in row && isMessages(row.prompt))

/** Whether all texts so far are the same one. */
type Same = { first?: string; differ: boolean }

export type LookOptions = {
  /** Look closely at every n-th row; of the others only what costs next to nothing is seen. */
  every?: number
  /** Whether held-out rows will be looked for among the training rows. */
  holdsOut?: boolean
}

export const makeRowChecks = (
  method: CheckedMethod,
  tokenization: Pick<Tokenization, 'tokenizer' | 'eosIds'>,
  { every = 1, holdsOut = true }: LookOptions = {},
): RowChecks => {
  const state: State = {
    ...{
      rows: 0,
      used: 0,
      evalRows: 0,
      longest: 0,
      tokens: 0,
      trained: 0,
      evalUsed: 0,
      plain: 0,
      most: 0,
      good: 0,
      bad: 0,
    },
    tally: new Map(),
    close: { tally: new Map(), rows: 0, used: 0 },
    drops: new Map(),
    faults: new Map(),
    seen: new Set(),
    prompts: { differ: false },
    completions: { differ: false },
  }
  const { tally, close, drops, faults } = state
  const noteAll = (codes: Iterable<string>, where: Where, to = tally) => {
    for (const code of codes) note(to, code, where)
  }
  /** @returns whether the row is looked at closely */
  const lookAt = (row: Row, odd: Iterable<string>, where: Where): boolean => {
    const isClose = state.rows++ % every === 0
    noteAll(new Set(odd), where)
    const texts = textsOf(row)
    compareTexts(row, texts, state)
    if (isClose || holdsOut) noteAll(doubles(row, texts, state), where, isClose ? close.tally : new Map())
    if (!isClose) return false
    close.rows++
    noteAll(textSigns(row, texts, tokenization), where, close.tally)
    return true
  }
  const lookAtHeld = (row: Row, where: Where) => {
    state.evalRows++
    if (state.seen.has(identities(row, textsOf(row)).own)) note(tally, 'eval-in-train', where)
  }
  return {
    method,
    train({ row, made, odd, where }) {
      const isClose = lookAt(row, odd, where)
      if (isPlain(row)) state.plain++
      if (typeof made === 'string') return note(drops, made, where)
      state.used++
      if (row.kind === 'ranking') state.most = Math.max(state.most, row.responses.length)
      if (row.kind === 'unpaired') state[row.label ? 'good' : 'bad']++
      if (!isClose && !made.truncated) return
      const sequences = made.sequences()
      if (isCutAtStop(row, { ...made, sequences }, tokenization)) note(tally, 'cut-stop', where)
      if (!isClose) return
      close.used++
      countTokens(sequences, state)
      noteAll(tokenSigns({ ...made, sequences }, tokenization), where, close.tally)
    },
    held({ row, made, where }) {
      lookAtHeld(row, where)
      if (typeof made !== 'string') state.evalUsed++
    },
    refused(row, { code, message }, where, held = false) {
      if (held) lookAtHeld(row, where)
      else lookAt(row, [], where)
      if (!faults.has(code)) faults.set(code, message)
      note(tally, code, where)
    },
    plainRows: () => state.plain,
    totals: () => {
      const { rows, used, evalRows, longest, tokens, trained } = state
      return { rows, used, evalRows, longest, tokens, trained }
    },
    findings(records = {}) {
      const { rows, used, evalRows, most } = state
      const hasStop = tokenization.eosIds.size > 0
      const all = new Map(drops)
      for (const [code, count] of Object.entries(records))
        all.set(code, { ...all.get(code), count: count + (all.get(code)?.count ?? 0) })
      const gone = Object.values(records).reduce((sum, count) => sum + count, 0)
      const facts = { method, rows, records: rows + gone, used, evalRows, hasStop, pairs: most === 2 }
      const ofAll = judge(new Map([...tally, ...wholeSigns(method, hasStop, state)]), all, faults, facts)
      const ofClose = judge(close.tally, new Map(), new Map(), { ...facts, rows: close.rows, used: close.used })
      return [...ofAll, ...ofClose].sort((a, b) => Number(isRuin(b)) - Number(isRuin(a)))
    },
  }
}

const countTokens = (sequences: readonly Sequence[], state: State) => {
  for (const { ids, targets } of sequences) {
    state.longest = Math.max(state.longest, ids.length)
    state.tokens += ids.length
    state.trained += targets.reduce((n, target) => n + target, 0)
  }
}

/** Signs of all rows together. */
const wholeSigns = (method: CheckedMethod, hasStop: boolean, state: State): Tally => {
  const { rows, used, evalRows, evalUsed, good, bad, prompts, completions } = state
  const signs: [code: string, count: number, isThere: boolean][] = [
    ['no-rows-left', rows, !used],
    ['no-held-out-left', evalRows, evalRows > 0 && !evalUsed],
    ['no-stop-token', rows, !hasStop],
    ['all-good', used, method === 'kto' && used > 0 && !bad],
    ['all-bad', used, method === 'kto' && used > 0 && !good],
    ['one-completion', rows, rows > 2 && isOne(completions)],
    ['one-prompt', rows, rows > 2 && isOne(prompts)],
  ]
  return new Map(signs.filter(([, , isThere]) => isThere).map(([code, count]) => [code, { count }]))
}

const isOne = ({ first, differ }: Same) => first !== undefined && !differ

const compareTexts = (row: Row, { prompt, answers }: RowTexts, { prompts, completions }: State) => {
  if (prompt !== undefined) compare(prompts, prompt)
  if (row.kind !== 'messages' && answers.length) compare(completions, answers[0])
}

const compare = (same: Same, text: Text) => {
  if (same.differ) return
  const key = plainOf(text) ?? text.toString()
  same.first ??= key
  same.differ = same.first !== key
}

const keyOf = (text: Text | undefined): string => (typeof text === 'string' ? text : JSON.stringify(text ?? ''))

/**
 * Equal for rows that say the same, whatever their ids; `opposite` that of the row that says the contrary. 48 bits of a hash: of
 * a million rows two different ones count as the same once in 500 files.
 */
const identities = (row: Row, { prompt, answers }: RowTexts): { own: number; opposite?: number } => {
  const said = row.kind === 'messages' ? [keyOf(row.messages)] : answers.map(keyOf)
  // The same pair the other way round differs in the order alone
  const isTurned = said.length === 2 && said[0] > said[1]
  const parts = [keyOf(prompt), ...(isTurned ? said.toReversed() : said)]
  if (row.kind === 'ranking' && said.length !== 2) parts.push(`${row.ranks}`)
  // In one call, which takes a third of the time of an object that is fed
  const number = Number.parseInt(hash('sha1', parts.join('\0')).slice(0, 12), 16) * 8
  if (row.kind === 'unpaired') return { own: number + Number(row.label), opposite: number + Number(!row.label) }
  if (row.kind !== 'ranking' || said.length !== 2) return { own: number }
  const isTie = row.ranks[0] === row.ranks[1]
  const own = number + 2 * Number(isTie) + Number(isTurned)
  return isTie || said[0] === said[1] ? { own } : { own, opposite: number + Number(!isTurned) }
}

/** Signs that only another row shows: the same row before, or the opposite one. */
const doubles = (row: Row, texts: RowTexts, { seen }: State): string[] => {
  const { own, opposite } = identities(row, texts)
  const codes: string[] = []
  if (seen.has(own)) codes.push('duplicates')
  if (opposite !== undefined && seen.has(opposite))
    codes.push(row.kind === 'ranking' ? 'pair-both-ways' : 'label-both-ways')
  seen.add(own)
  return codes
}
