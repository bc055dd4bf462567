/**
 * Reads the rows of a run as training would and reports what is wrong with them: the same opening, split, tokenization and
 * examples, so that it can say nothing else than what training does. No weights are read.
 */
import { createHash } from 'node:crypto'
import type { Kinds } from '../../data/convert.ts'
import type { Row } from '../../data/rows.ts'
import type { RowSource } from '../../data/source.ts'
import { openTokenization, type Tokenization } from '../../generate/tokenization.node.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { atPlace, badInput, Fault, type Where } from '../../util/fault.ts'
import { chooseKind } from '../reward/scoreHead.ts'
import { openDataset, splitRows } from '../trainer/dataset.ts'
import { type Finding, judge, note, type Tally } from './findings.ts'
import { plainOf, textSigns, textsOf, tokenSigns } from './rowSigns.ts'
import { type CheckedMethod, type Method, methodOf, rowsAs, type Sequences } from './sequences.ts'
import { type ShownSequence, shownSequence } from './shown.ts'

export type CheckSettings = {
  model: string
  adapter?: string
  for: CheckedMethod
  data: string[]
  evalData?: string[]
  evalSplit?: number
  column: Record<string, string>
  maxSamples?: number
  maxLength: number
  maxPromptLength?: number
  assistantOnlyLoss: boolean
  completionOnlyLoss: boolean
  seed: number
  /** Rows to show. */
  rows: number
}

/** A row as training sees it: its sequences token by token, or why there are none. */
export type ShownRow = { event: 'row'; where: Where; dropped?: string; refused?: string; sequences: ShownSequence[] }
export type CheckSummary = {
  event: 'check'
  rows: number
  used: number
  evalRows: number
  /** Tokens of the longest sequence, of all sequences, and how many of these are learnt. */
  longest: number
  tokens: number
  trained: number
  maxLength: number
  findings: Finding[]
}

/** Rows between two progress events. */
const progressRows = 256

export async function* checkRows(settings: CheckSettings): AsyncGenerator<ProgressEvent | ShownRow | CheckSummary> {
  const folders = await resolveModel(settings)
  const dataset = await openDataset<keyof Kinds>(rowsAs[settings.for], settings)
  try {
    const pretrained = await loadPretrained(folders.dir)
    const tokenization = await openTokenization(folders, pretrained, settings)
    const { config, architecture } = pretrained
    const outputs = architecture.scores === 'alone' ? config.num_labels : undefined
    const method = methodOf(settings.for, {
      assistantOnly: settings.assistantOnlyLoss,
      completionOnly: settings.completionOnlyLoss,
      listwise: dataset.rows.widest > 2,
      kind: chooseKind({}, dataset.rows, outputs).kind,
    })
    const split = splitRows(dataset, settings)
    const state = newState()
    for (const [code, count] of Object.entries(dataset.rows.dropped))
      state.drops.set(code, { count: count + (state.drops.get(code)?.count ?? 0) })
    const total = split.train.length + (split.evalRows?.length ?? 0)
    const whole = { ...tokenization, limits: { maxLength: Number.POSITIVE_INFINITY } }
    for (let i = 0; i < split.train.length; i++) {
      const row = await split.train.row(i)
      const seen = readRow(method, row, placeOf(split.train, i), tokenization, state)
      if (i < settings.rows) yield shownRow(method, row, seen, tokenization, whole)
      if (total > progressRows && (i + 1) % progressRows === 0)
        yield { event: 'progress', phase: 'tokenize', done: i + 1, total }
    }
    const evalRows = split.evalRows?.length ?? 0
    for (let i = 0; i < evalRows; i++)
      readEvalRow(method, await split.evalRows!.row(i), placeOf(split.evalRows!, i), tokenization, state)
    yield summary(settings, split.train.length, evalRows, tokenization, state)
  } finally {
    await dataset.close()
  }
}

const placeOf = (rows: RowSource, i: number): Where => rows.where?.(i) ?? { row: i }

type State = {
  tally: Tally
  drops: Tally
  faults: Map<string, string>
  used: number
  evalUsed: number
  longest: number
  tokens: number
  trained: number
  labels: { good: number; bad: number }
  /** Hashes of training rows, of pairs and of labelled completions. */
  seen: Set<string>
  completions: Set<string>
  prompts: Set<string>
}

const newState = (): State => ({
  tally: new Map(),
  drops: new Map(),
  faults: new Map(),
  used: 0,
  evalUsed: 0,
  longest: 0,
  tokens: 0,
  trained: 0,
  labels: { good: 0, bad: 0 },
  seen: new Set(),
  completions: new Set(),
  prompts: new Set(),
})

type Seen = { where: Where; made: Sequences | string | Fault }

/** Rows that count as the same: all that training reads of them. */
const hashOf = (...parts: unknown[]): string => createHash('sha256').update(JSON.stringify(parts)).digest('base64')

const rowHash = (row: Row): string => {
  const { id: _, ...read } = row as Row & Record<string, unknown>
  return hashOf(read)
}

const make = (method: Method, row: Row, where: Where, tokenization: Tokenization, count: (what: string) => void) => {
  try {
    return atPlace(where, () => method.read(row, tokenization, count))
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
}

const readRow = (method: Method, row: Row, where: Where, tokenization: Tokenization, state: State): Seen => {
  const codes = new Set<string>(textSigns(row, tokenization))
  const made = make(method, row, where, tokenization, (what) => codes.add(what))
  for (const code of [...codes, ...doubles(row, state)]) note(state.tally, code, where)
  if (made instanceof Fault) {
    if (!state.faults.has(made.code)) state.faults.set(made.code, made.message)
    note(state.tally, made.code, where)
  } else if (typeof made === 'string') note(state.drops, made, where)
  else countUsed(made, row, where, tokenization, state)
  return { where, made }
}

const countUsed = (made: Sequences, row: Row, where: Where, tokenization: Tokenization, state: State) => {
  state.used++
  for (const { ids, targets } of made.sequences) {
    state.longest = Math.max(state.longest, ids.length)
    state.tokens += ids.length
    for (const target of targets) state.trained += target
  }
  if (row.kind === 'unpaired') state.labels[row.label ? 'good' : 'bad']++
  for (const code of tokenSigns(made.sequences, made.truncated, tokenization)) note(state.tally, code, where)
}

/** Signs that only another row shows: the same row before, or the opposite one. */
const doubles = (row: Row, { seen, completions, prompts }: State): string[] => {
  const codes: string[] = []
  const { prompt, answers } = textsOf(row)
  const own = rowHash(row)
  if (seen.has(own)) codes.push('duplicates')
  seen.add(own)
  if (prompt !== undefined) prompts.add(hashOf(prompt))
  if (row.kind !== 'messages' && answers.length) completions.add(hashOf(plainOf(answers[0]) ?? answers[0]))
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

/** Held-out rows must be readable, and no training rows. */
const readEvalRow = (method: Method, row: Row, where: Where, tokenization: Tokenization, state: State) => {
  if (state.seen.has(rowHash(row))) note(state.tally, 'eval-in-train', where)
  const made = make(method, row, where, tokenization, () => {})
  if (typeof made !== 'string' && !(made instanceof Fault)) state.evalUsed++
  if (!(made instanceof Fault)) return
  if (!state.faults.has(made.code)) state.faults.set(made.code, made.message)
  note(state.tally, made.code, where)
}

const summary = (
  settings: CheckSettings,
  rows: number,
  evalRows: number,
  { eosIds, limits }: Tokenization,
  state: State,
): CheckSummary => {
  const { tally, drops, faults, used, longest, tokens, trained, labels, completions, prompts } = state
  const whole = (code: string, count: number) => tally.set(code, { count })
  if (!used) whole('no-rows-left', rows)
  if (evalRows && !state.evalUsed) whole('no-held-out-left', evalRows)
  const hasStop = eosIds.size > 0
  if (!hasStop) whole('no-stop-token', rows)
  if (settings.for === 'kto' && used && !labels.bad) whole('all-good', used)
  if (settings.for === 'kto' && used && !labels.good) whole('all-bad', used)
  if (rows > 2 && completions.size === 1) whole('one-completion', rows)
  if (rows > 2 && prompts.size === 1) whole('one-prompt', rows)
  const findings = judge(tally, drops, faults, { method: settings.for, rows, used, evalRows, hasStop })
  return { event: 'check', rows, used, evalRows, longest, tokens, trained, maxLength: limits.maxLength, findings }
}

/** @param whole the tokenization without length limits */
const shownRow = (
  method: Method,
  row: Row,
  { where, made }: Seen,
  tokenization: Tokenization,
  whole: Tokenization,
): ShownRow => {
  if (made instanceof Fault) return { event: 'row', where, refused: made.message, sequences: [] }
  const full = make(method, row, where, whole, () => {})
  const dropped = typeof made === 'string' ? made : undefined
  if (full instanceof Fault || typeof full === 'string') return { event: 'row', where, dropped, sequences: [] }
  const sequences = full.sequences.map((sequence, k) =>
    shownSequence(tokenization, sequence, typeof made === 'string' ? undefined : made.sequences[k]),
  )
  return { event: 'row', where, dropped, sequences }
}

/** Refuses a run that the findings say would be ruined. Throws the Fault 'check-failed'. */
export const refuseRuined = (findings: readonly Finding[]): void => {
  const ruins = findings.filter(({ severity }) => severity === 'ruins')
  if (!ruins.length) return
  throw badInput('check-failed', `this run would be ruined: ${ruins.map(({ code }) => code).join(', ')}`)
}
