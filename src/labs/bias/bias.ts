/**
 * May a judge be believed, on this data? From judgements that are there, or by asking the judge: its faults with intervals, a page that
 * says what they mean, and a JSON of the figures.
 */
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { dataFiles, type ResolveDataset } from '../../data/input.node.ts'
import { type BiasFigures, biasFigures } from '../../feedback/bias/figures.ts'
import type { MarkedPair } from '../../feedback/bias/markOrder.ts'
import type { JudgeCase, Judgement } from '../../feedback/judge/judge.ts'
import { readCases } from '../../feedback/judge/rows.ts'
import type { TextModel } from '../../feedback/textModel/textModel.ts'
import { type JudgedPair, judgementReader } from '../../feedback/winRate/judgements.ts'
import { readJudgements } from '../../feedback/winRate/readJudgements.ts'
import { claimFolder, foreignFault, readSealed, writeSealed } from '../../report/files.node.ts'
import type { ProgressEvent, WarningEvent } from '../../runs/events.ts'
import { takeLock } from '../../runs/lock.node.ts'
import { openLines } from '../../store/lines.node.ts'
import { badInput } from '../../util/fault.ts'
import { isTemporary } from '../../util/files.node.ts'
import { plural } from '../../util/format.ts'
import { sha256Files } from '../../util/sha256.node.ts'
import { type Example, examplesOf } from './examples.ts'
import { type BiasFiles, writeBias } from './output.ts'
import type { BiasSettings } from './settings.ts'
import { type AskedTrials, askTrials, lineSchema } from './trials.ts'

export type BiasEvent =
  | { event: 'plan'; judge: string; pairs: number; kept: number; output: string }
  | WarningEvent
  | ProgressEvent
  | { event: 'stopped'; output: string }
  | { event: 'result'; figures: BiasFigures; words: string[]; files: BiasFiles; json: Record<string, unknown> }

type Options = {
  /** The judge's model, where it is asked. */
  model?: TextModel
  signal?: AbortSignal
  command?: readonly string[]
  resolve?: ResolveDataset
}

/** Faults: those of the rows and of the judge, before anything is asked; 'taken', 'locked', 'other-settings' of the folder. */
export async function* bias(settings: BiasSettings, options: Options = {}): AsyncGenerator<BiasEvent> {
  const { model, command = [] } = options
  const root = resolve(settings.output)
  const votes = settings.votes ? (await readJudgements(settings.votes)).judgements : []
  const found = model ? yield* asked(root, settings, model, options) : await readPairs(settings)
  if (!found) return yield { event: 'stopped', output: root }
  const { judge, pairs, marks, trials, examples, notes } = found
  if (!model) yield { event: 'plan', judge, pairs: pairs.length, kept: pairs.length, output: root }
  const figures = biasFigures({
    judge,
    pairs,
    votes,
    marks,
    ownModel: settings.ownModel,
    trials: trials && {
      renamed: trials.renamed.rows,
      padded: trials.padded.rows,
      padding: trials.padding,
      math: Object.fromEntries(Object.entries(trials.math).map(([mode, { rows }]) => [mode, rows])),
      ownQuestions: trials.ownQuestions,
    },
  })
  const unlock = await claim(root)
  try {
    yield { event: 'result', figures, ...(await writeBias(root, { figures, examples, notes, settings, command })) }
  } finally {
    await unlock()
  }
}

type Found = {
  judge: string
  pairs: JudgedPair[]
  marks?: MarkedPair[]
  trials?: AskedTrials
  examples: Example[]
  notes: string[]
}

/** Judgements that are there. */
const readPairs = async ({ files }: BiasSettings): Promise<Found> => {
  if (!files.length)
    throw badInput('bad-flag', 'is missing: files of judgements, or --judge with --data to ask a judge', {
      flag: 'files',
    })
  const { judgements, markedPairs } = await readJudgements(files)
  if (!judgements.length && !markedPairs.length)
    throw badInput('empty-data', 'holds marks of single answers; bias is measured on judgements of pairs', {
      file: files.join(', '),
    })
  const judges = [...new Set(judgements.flatMap(({ judge }) => judge ?? []))]
  if (judges.length > 1)
    throw badInput(
      'several-judges',
      `holds judgements of ${judges.length} judges (${judges.slice(0, 3).join(', ')}${judges.length > 3 ? ', ...' : ''}); give those of one, and votes of people as --votes`,
      { file: files.join(', ') },
    )
  return { judge: judges[0] ?? 'the judge', pairs: judgements, marks: markedPairs, examples: [], notes: [] }
}

async function* asked(
  root: string,
  settings: BiasSettings,
  model: TextModel,
  { signal = new AbortController().signal, resolve }: Options,
): AsyncGenerator<BiasEvent, Found | undefined> {
  const { cases, dropped } = await casesOf(settings, resolve)
  const unlock = await claim(root)
  try {
    const file = await openTrials(root, settings, model, resolve)
    try {
      yield { event: 'plan', judge: model.name, pairs: cases.length, kept: file.length, output: root }
      yield* dropped
      const trials = yield* askTrials(cases, { model, settings, file, signal })
      const pairs = trials.pairs.rows.map(pairOf)
      return {
        judge: model.name,
        pairs,
        trials,
        examples: examplesOf(trials),
        notes: notesOf(trials, dropped),
      }
    } catch (error) {
      if (!signal.aborted) throw error
      return undefined
    } finally {
      await file.close()
    }
  } finally {
    await unlock()
  }
}

/** What was not asked, and why. */
const notesOf = ({ padding, unsolved }: AskedTrials, dropped: readonly WarningEvent[]): string[] => [
  ...dropped.map(({ message }) => message),
  ...(padding.left
    ? [`${plural(padding.left, 'list')} left out: the judge did not say them in other words, item by item`]
    : []),
  ...(unsolved
    ? [`${plural(unsolved, 'question')} without a solution of the judge: not asked with its own solution`]
    : []),
]

/** Pairs that can be judged, and a warning of those that cannot. */
const casesOf = async (settings: BiasSettings, resolve: ResolveDataset | undefined) => {
  const { data, against, column, maxSamples } = settings
  if (!data) throw badInput('bad-flag', 'is missing: the pairs that the judge is asked about', { flag: '--data' })
  const cases: JudgeCase[] = []
  const troubles = new Map<string, number>()
  for await (const each of readCases({ data, against, column, resolve })) {
    if (cases.length >= maxSamples) break
    const code = each.trouble?.code ?? (each.answers.length === 2 ? undefined : 'no-second-answer')
    if (code === undefined) cases.push(each)
    else troubles.set(code, (troubles.get(code) ?? 0) + 1)
  }
  const by = [...troubles].map(([code, n]) => `${code} ${n}`).join(', ')
  if (!cases.length)
    throw badInput('empty-data', `holds no pair of answers${by ? ` (${by})` : ''}`, { file: data.join(', ') })
  const left = [...troubles.values()].reduce((a, b) => a + b, 0)
  const dropped: WarningEvent[] = left
    ? [{ event: 'warning', code: 'left-out', message: `${plural(left, 'row')} left out: ${by}` }]
    : []
  return { cases, dropped }
}

/** A row of `attune judge` as other files have it. */
const pairOf = (row: Judgement, i: number): JudgedPair =>
  judgementReader(row)!(row, { file: 'judgements.jsonl', layout: 'rows', row: i })

const ownFiles = /^(judgements\.jsonl|bias\.json|findings\.json|report\.html|plots|run\.lock.*)$/

const claim = (root: string): Promise<() => Promise<void>> =>
  claimFolder(root, async () => {
    const foreign = (await readdir(root)).find(
      (name) => !isTemporary(name) && !ownFiles.test(name.replace(/\.tmp$/, '')),
    )
    if (foreign) throw foreignFault(root, foreign, 'no folder of attune bias')
    return takeLock(root)
  })

/** The kept replies. A folder of another judge, other rows or other settings is refused. */
const openTrials = async (
  root: string,
  settings: BiasSettings,
  model: TextModel,
  resolve: ResolveDataset | undefined,
) => {
  const { data = [], against = [], column, maxSamples, mode, rephrase, structured, maxNewTokens, promptFile } = settings
  const hashes = await sha256Files([
    ...(await dataFiles([...data, ...against], resolve)),
    ...(promptFile === undefined ? [] : [promptFile]),
  ])
  const made = {
    model: await model.identity(),
    rows: [hashes.map(({ sha256 }) => sha256), column, maxSamples, against.length],
    asked: [mode, rephrase, structured, maxNewTokens, promptFile !== undefined],
  }
  const path = join(root, 'bias.json')
  const before = (await readSealed(path)) as typeof made | undefined
  if (before === undefined) await writeSealed(path, made)
  else {
    const names = { model: 'another judge', rows: 'other rows', asked: 'other settings' } as const
    const other = (['model', 'rows', 'asked'] as const).find(
      (key) => JSON.stringify(before[key]) !== JSON.stringify(made[key]),
    )
    if (other)
      throw badInput('other-settings', `holds replies of ${names[other]}; choose another --output`, { file: root })
  }
  return openLines(join(root, 'judgements.jsonl'), { schema: lineSchema, total: Number.POSITIVE_INFINITY, group: 1 })
}
