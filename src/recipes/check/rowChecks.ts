/**
 * What is wrong with the rows of a run, added up row by row. `attune check` and every training command look at rows with it, so
 * that both find the same.
 */
import { createHash } from 'node:crypto'
import type { Row, Text } from '../../data/rows.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Where } from '../../util/fault.ts'
import { type Finding, judge, note, type Tally } from './findings.ts'
import { type CheckedMethod, plainOf, type Sequences, textSigns, textsOf, tokenSigns } from './rowSigns.ts'

/** A row, what was made of it or why it is dropped, and what was odd about it on the way. */
export type SeenRow = { row: Row; made: Sequences | string; odd: Iterable<string>; where: Where }

export type RowChecks = {
  method: CheckedMethod
  /** A training row. */
  train(seen: SeenRow): void
  /** A held-out row, after all training rows. */
  held(seen: Omit<SeenRow, 'odd'>): void
  /** A row that training would refuse with this fault. */
  refused(row: Row, fault: { code: string; message: string }, where: Where, held?: boolean): void
  totals(): Totals
  /** @param records of the files that gave no row, by reason */
  findings(records?: Readonly<Record<string, number>>): Finding[]
}

export type Totals = {
  rows: number
  used: number
  evalRows: number
  /** Tokens of the longest sequence, of all sequences, and how many of these are learnt. */
  longest: number
  tokens: number
  trained: number
}

type State = Totals & {
  evalUsed: number
  /** Of sequences that a row gives. */
  most: number
  tally: Tally
  drops: Tally
  faults: Map<string, string>
  good: number
  bad: number
  /** Hashes of training rows, of pairs and of labelled completions. */
  seen: Set<number>
  prompts: Same
  completions: Same
}

/** Whether all texts so far are the same one. */
type Same = { first?: string; differ: boolean }

export const makeRowChecks = (
  method: CheckedMethod,
  tokenization: Pick<Tokenization, 'tokenizer' | 'eosIds'>,
): RowChecks => {
  const state: State = {
    ...{ rows: 0, used: 0, evalRows: 0, longest: 0, tokens: 0, trained: 0, evalUsed: 0, most: 0, good: 0, bad: 0 },
    tally: new Map(),
    drops: new Map(),
    faults: new Map(),
    seen: new Set(),
    prompts: { differ: false },
    completions: { differ: false },
  }
  const { tally, drops, faults } = state
  const noteSigns = (row: Row, odd: Iterable<string>, where: Where) => {
    state.rows++
    for (const code of new Set([...textSigns(row, tokenization), ...odd, ...doubles(row, state)]))
      note(tally, code, where)
  }
  const noteHeld = (row: Row, where: Where) => {
    state.evalRows++
    if (state.seen.has(rowHash(row))) note(tally, 'eval-in-train', where)
  }
  return {
    method,
    train({ row, made, odd, where }) {
      noteSigns(row, odd, where)
      if (typeof made === 'string') note(drops, made, where)
      else countUsed(made, row, where, tokenization, state)
    },
    held({ row, made, where }) {
      noteHeld(row, where)
      if (typeof made !== 'string') state.evalUsed++
    },
    refused(row, { code, message }, where, held = false) {
      if (held) noteHeld(row, where)
      else noteSigns(row, [], where)
      if (!faults.has(code)) faults.set(code, message)
      note(tally, code, where)
    },
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
      const facts = { method, rows, used, evalRows, hasStop, pairs: most === 2 }
      return judge(new Map([...tally, ...wholeSigns(method, hasStop, state)]), all, faults, facts)
    },
  }
}

const countUsed = (
  made: Sequences,
  row: Row,
  where: Where,
  tokenization: Pick<Tokenization, 'tokenizer' | 'eosIds'>,
  state: State,
) => {
  state.used++
  state.most = Math.max(state.most, made.sequences.length)
  for (const { ids, targets } of made.sequences) {
    state.longest = Math.max(state.longest, ids.length)
    state.tokens += ids.length
    for (const target of targets) state.trained += target
  }
  if (row.kind === 'unpaired') state[row.label ? 'good' : 'bad']++
  for (const code of tokenSigns(row, made, tokenization)) note(state.tally, code, where)
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

const compare = (same: Same, text: Text) => {
  if (same.differ) return
  const key = plainOf(text) ?? text.toString()
  same.first ??= key
  same.differ = same.first !== key
}

/** 48 bits: of a million rows two different ones are taken for the same once in 500 runs. */
const hashOf = (...parts: unknown[]): number =>
  createHash('sha256').update(JSON.stringify(parts)).digest().readUIntBE(0, 6)

/** Rows that count as the same: all that training reads of them. */
const rowHash = (row: Row): number => {
  const { id: _, ...read } = row as Row & Record<string, unknown>
  return hashOf(read)
}

/** Signs that only another row shows: the same row before, or the opposite one. */
const doubles = (row: Row, { seen, completions, prompts }: State): string[] => {
  const codes: string[] = []
  const { prompt, answers } = textsOf(row)
  const own = rowHash(row)
  if (seen.has(own)) codes.push('duplicates')
  seen.add(own)
  if (prompt !== undefined) compare(prompts, prompt)
  if (row.kind !== 'messages' && answers.length) compare(completions, answers[0])
  if (row.kind === 'ranking' && answers.length === 2 && row.ranks[0] !== row.ranks[1]) {
    if (seen.has(hashOf('pair', prompt, answers[1], answers[0]))) codes.push('pair-both-ways')
    seen.add(hashOf('pair', prompt, ...answers))
  }
  if (row.kind === 'unpaired') {
    if (seen.has(hashOf('label', prompt, answers[0], !row.label))) codes.push('label-both-ways')
    seen.add(hashOf('label', prompt, answers[0], row.label))
  }
  return codes
}
