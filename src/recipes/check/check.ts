/**
 * Reads the rows of a run as training would and reports what is wrong with them: the same opening, split, tokenization and
 * examples, so that it can say nothing else than what training does. No weights are read.
 */
import type { Kinds } from '../../data/convert.ts'
import type { Row } from '../../data/rows.ts'
import type { RowSource } from '../../data/source.ts'
import { openTokenization, type Tokenization } from '../../generate/tokenization.node.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { refuseEncoder } from '../../models/scored.ts'
import type { RewardKind } from '../../rewards/notes.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { atPlace, badInput, Fault, type Where } from '../../util/fault.ts'
import { chooseKind } from '../reward/scoreHead.ts'
import { openDataset, splitRows } from '../trainer/dataset.ts'
import type { Finding } from './findings.ts'
import { type Made, makeRowChecks, type RowChecks, type Totals } from './rowChecks.ts'
import type { CheckedMethod } from './rowSigns.ts'
import { type Method, methodOf, rowsAs } from './sequences.ts'
import { type ShownSequence, shownSequence } from './shown.ts'

export type CheckSettings = {
  model: string
  adapter?: string
  for: CheckedMethod
  data: string[]
  evalData?: string[]
  evalSplit?: number
  column: Record<string, string>
  chat: boolean
  label?: string
  /** The objective of a reward model, where it is given. */
  kind?: RewardKind
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
export type CheckSummary = Totals & { event: 'check'; maxLength: number; findings: Finding[] }

/** Rows between two progress events. */
const progressRows = 256

export async function* checkRows(settings: CheckSettings): AsyncGenerator<ProgressEvent | ShownRow | CheckSummary> {
  const folders = await resolveModel(settings)
  const dataset = await openDataset<keyof Kinds>(rowsAs[settings.for], settings)
  try {
    const pretrained = await loadPretrained(folders.dir)
    refuseEncoder(pretrained.architecture, folders.dir)
    const tokenization = await openTokenization(folders, pretrained, settings)
    const { config, architecture } = pretrained
    const outputs = architecture.scores === 'alone' ? config.num_labels : undefined
    const method = methodOf(settings.for, {
      assistantOnly: settings.assistantOnlyLoss,
      completionOnly: settings.completionOnlyLoss,
      listwise: dataset.rows.widest > 2,
      kind: chooseKind(settings, dataset.rows, outputs).kind,
    })
    const split = splitRows(dataset, settings)
    const checks = makeRowChecks(settings.for, tokenization)
    const total = split.train.length + (split.evalRows?.length ?? 0)
    const whole = { ...tokenization, limits: { maxLength: Number.POSITIVE_INFINITY } }
    for (let i = 0; i < split.train.length; i++) {
      const row = await split.train.row(i)
      const seen = readRow(method, row, placeOf(split.train, i), tokenization, checks)
      if (i < settings.rows) yield shownRow(method, row, seen, tokenization, whole)
      if (total > progressRows && (i + 1) % progressRows === 0)
        yield { event: 'progress', phase: 'tokenize', done: i + 1, total }
    }
    for (let i = 0; i < (split.evalRows?.length ?? 0); i++)
      readEvalRow(method, await split.evalRows!.row(i), placeOf(split.evalRows!, i), tokenization, checks)
    const { maxLength } = tokenization.limits
    yield { event: 'check', ...checks.totals(), maxLength, findings: checks.findings(dataset.rows.dropped) }
  } finally {
    await dataset.close()
  }
}

const placeOf = (rows: RowSource, i: number): Where => rows.where?.(i) ?? { row: i }

type Seen = { where: Where; made: Made | string | Fault }

const make = (method: Method, row: Row, where: Where, tokenization: Tokenization, count: (what: string) => void) => {
  try {
    return atPlace(where, () => method.read(row, tokenization, count))
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
}

const readRow = (method: Method, row: Row, where: Where, tokenization: Tokenization, checks: RowChecks): Seen => {
  const odd = new Set<string>()
  const made = make(method, row, where, tokenization, (what) => odd.add(what))
  if (made instanceof Fault) checks.refused(row, made, where)
  else checks.train({ row, made, odd, where })
  return { where, made }
}

/** Held-out rows must be readable, and no training rows. */
const readEvalRow = (method: Method, row: Row, where: Where, tokenization: Tokenization, checks: RowChecks) => {
  const made = make(method, row, where, tokenization, () => {})
  if (made instanceof Fault) checks.refused(row, made, where, true)
  else checks.held({ row, made, where })
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
  const kept = typeof made === 'string' ? [] : made.sequences()
  const sequences = full.sequences().map((sequence, k) => shownSequence(tokenization, sequence, kept[k]))
  return { event: 'row', where, dropped, sequences }
}

/** Refuses a run that the findings say would be ruined. Throws the Fault 'check-failed'. */
export const refuseRuined = (findings: readonly Finding[]): void => {
  const ruins = findings.filter(({ severity }) => severity === 'ruins')
  if (!ruins.length) return
  throw badInput('check-failed', `this run would be ruined: ${ruins.map(({ code }) => code).join(', ')}`)
}
