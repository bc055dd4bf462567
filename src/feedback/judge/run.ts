/**
 * All rows of some files by one judge. With a folder every judgement is kept as a line of judgements.jsonl, so that the same
 * command goes on where it was stopped, and a page says what was found. What a server has answered lies in the cache of
 * completions as soon as it came, so that a run that was killed asks for nothing twice.
 */
import { mkdir, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { dataFiles } from '../../data/input.node.ts'
import type { Spent } from '../../endpoint/client.ts'
import { claimFolder, foreignFault, readSealed, writeJson, writeSealed, writeText } from '../../report/files.node.ts'
import type { ProgressEvent, WarningEvent } from '../../runs/events.ts'
import { takeLock } from '../../runs/lock.node.ts'
import { type LineFile, openLines } from '../../store/lines.node.ts'
import { badInput } from '../../util/fault.ts'
import { isTemporary } from '../../util/files.node.ts'
import { plural, whole } from '../../util/format.ts'
import { sha256Files } from '../../util/sha256.node.ts'
import { stringify } from '../../util/written.ts'
import type { Judge, JudgeCase, Judgement } from './judge.ts'
import { preferenceOf } from './preferences.ts'
import { judgePage } from './report.ts'
import { type CaseSettings, readCases } from './rows.ts'
import { addJudgement, emptySummary, type JudgeSummary } from './summary.ts'

export type JudgeRunSettings = CaseSettings & {
  mode: 'pairwise' | 'single' | 'reference' | 'options'
  singleOrder: boolean
  /** A folder of one's own; without it nothing is kept. */
  output?: string
}

export type JudgementEvent = { event: 'judgement'; judgement: Judgement }

export type JudgeEndEvent = {
  event: 'end'
  n: number
  errors: number
  /** Rows whose two orders agree. */
  consistent: number
  errors_by: Record<string, number>
  verdicts: Record<'A' | 'B' | 'tie', number>
  /** Of all grades. */
  mean_score?: number
  asked: number
  cached: number
  retries: number
  prompt_tokens: number
  completion_tokens: number
  /** Responses whose tokens the server did not count. */
  uncounted: number
  /** Dollars, where prices are known. */
  cost?: number
  report?: string
  /** The file of rows to train on, how many there are, and the judgements that gave none by reason. */
  preferences?: { file: string; rows: number; dropped: Record<string, number> }
}

export type JudgeEvent =
  | { event: 'plan'; n: number; requests: number; judge: string; mode: string; kept: number; output?: string }
  | WarningEvent
  | ProgressEvent
  | JudgementEvent
  | { event: 'stopped'; output?: string }
  | JudgeEndEvent

/** Judgements that are written together; a kill loses fewer than these, and no answer of a server. */
const groupSize = 32

const judgementSchema = z.looseObject({
  id: z.union([z.string(), z.number()]),
  verdict: z.enum(['A', 'B', 'tie', 'error']).nullable(),
  verdicts: z.array(z.enum(['A', 'B', 'tie', 'error'])),
  scores: z.array(z.number()),
  judge: z.string(),
  reason: z.string(),
  error: z.string().optional(),
  replies: z.array(z.string()).optional(),
})

/**
 * Judges what is not judged yet. After an abort the last event is `stopped`. Faults: those of the rows, before anything is
 * asked, and of the judge; 'taken', 'locked' and 'other-settings' of the folder.
 */
export async function* judgeRows(
  judge: Judge,
  settings: JudgeRunSettings,
  { signal = new AbortController().signal, command = [] }: { signal?: AbortSignal; command?: readonly string[] } = {},
): AsyncGenerator<JudgeEvent> {
  const cases = { ...settings, whole: settings.mode === 'single' }
  const plan = await planOf(judge, cases)
  const root = settings.output === undefined ? undefined : resolve(settings.output)
  const unlock = root === undefined ? async () => {} : await claim(root)
  const file = root === undefined ? undefined : await openRun(root, judge, cases)
  try {
    const kept = Math.min(file?.length ?? 0, plan.n)
    yield { event: 'plan', ...plan, judge: judge.name, mode: settings.mode, kept, output: root }
    yield* warningsOf(judge, settings, plan)
    let summary = emptySummary()
    for (let i = 0; i < kept; i++) {
      const judgement = (await file!.read(i)) as Judgement
      summary = addJudgement(summary, judgement)
      yield { event: 'judgement', judgement }
    }
    try {
      for await (const judgement of withStore(judge.judge(from(readCases(cases), kept), { signal }), file)) {
        summary = addJudgement(summary, judgement)
        yield { event: 'judgement', judgement }
        yield { event: 'progress', phase: 'score', done: summary.n, total: plan.n }
      }
    } catch (error) {
      if (!signal.aborted) throw error
      return yield { event: 'stopped', output: root }
    }
    const end = endOf(summary, judge)
    if (root === undefined) return yield end
    const preferences = await writePreferences(file!, cases, root)
    const report = join(root, 'report.html')
    await writeText(report, judgePage({ summary, judge, settings, command, spent: judge.model.spent }))
    await writeJson(join(root, 'summary.json'), { ...end, judge: judge.name, mode: settings.mode })
    yield { ...end, report, ...(preferences && { preferences }) }
  } finally {
    await file?.close()
    await unlock()
  }
}

/** Reads all rows once, so that whatever is wrong with them is said before anything is asked. */
const planOf = async (judge: Judge, cases: CaseSettings): Promise<{ n: number; requests: number }> => {
  const plan = { n: 0, requests: 0 }
  for await (const { answers, trouble } of readCases(cases)) {
    plan.n++
    if (!trouble) plan.requests += judge.calls(answers.length)
  }
  if (!plan.n) throw badInput('empty-data', 'holds no rows', { file: cases.data.join(', ') })
  return plan
}

async function* from(cases: AsyncIterable<JudgeCase>, start: number): AsyncGenerator<JudgeCase> {
  let at = 0
  for await (const each of cases) if (at++ >= start) yield each
}

/** Judgements are on the disk before they are yielded, a group at a time; a reader that leaves finds its group kept. */
async function* withStore(
  judgements: AsyncIterable<Judgement>,
  file: LineFile<z.infer<typeof judgementSchema>> | undefined,
): AsyncGenerator<Judgement> {
  let pending: Judgement[] = []
  const flush = async () => {
    const group = pending
    pending = []
    if (group.length) await file?.append(group)
    return group
  }
  try {
    for await (const judgement of judgements) {
      pending.push(judgement)
      if (!file || pending.length >= groupSize) yield* await flush()
    }
    yield* await flush()
  } finally {
    await flush()
  }
}

const warningsOf = function* (
  judge: Judge,
  { singleOrder, mode }: JudgeRunSettings,
  { requests }: { requests: number },
): Generator<WarningEvent> {
  if (singleOrder && mode !== 'single')
    yield {
      event: 'warning',
      code: 'single-order',
      message: `one order only: ${whole(requests)} requests instead of ${whole(2 * requests)}. Whatever the judge likes about the first or the second place goes into the verdicts, and cannot be told from a better answer. GPT-4 kept its verdict in 65 % of MT-bench's pairs when they were swapped, GPT-3.5 in 46 %, Claude-v1 in 24 % (arXiv 2306.05685, table 2). attune bias measures it for this judge.`,
    }
  if (!judge.model.chat)
    yield {
      event: 'warning',
      code: 'no-template',
      message: `${judge.name} has no chat template: it is a base model, or its template is missing. Prompts are given as plain text, and few base models follow them.`,
    }
}

/** Writes the judgements of pairs as rows to train on. */
const writePreferences = async (
  judgements: { read(index: number): Promise<unknown> },
  settings: CaseSettings & Pick<JudgeRunSettings, 'mode'>,
  root: string,
): Promise<JudgeEndEvent['preferences']> => {
  if (settings.mode === 'single') return undefined
  const path = join(root, 'preferences.jsonl')
  const dropped: Record<string, number> = {}
  const lines: string[] = []
  let i = 0
  for await (const each of readCases(settings)) {
    const judgement = (await judgements.read(i++)) as Judgement
    if (each.answers.length < 2 && !each.trouble) return undefined
    const row = preferenceOf(each, judgement, settings.mode)
    if (typeof row === 'string') dropped[row] = (dropped[row] ?? 0) + 1
    else lines.push(`${stringify(row)}\n`)
  }
  await writeText(path, lines.join(''))
  return { file: path, rows: lines.length, dropped }
}

// The folder

const ownFiles = /^(judgements\.jsonl|preferences\.jsonl|judge\.json|summary\.json|report\.html|run\.lock.*)$/

const claim = (root: string): Promise<() => Promise<void>> =>
  claimFolder(root, async () => {
    await mkdir(root, { recursive: true })
    const foreign = (await readdir(root)).find(
      (name) => !isTemporary(name) && !ownFiles.test(name.replace(/\.tmp$/, '')),
    )
    if (foreign) throw foreignFault(root, foreign, 'no folder of judgements')
    return takeLock(root)
  })

/** Opens the judgements of the folder. One with other rows or another judge is refused. */
const openRun = async (root: string, judge: Judge, settings: CaseSettings) => {
  const path = join(root, 'judge.json')
  const { data, against = [], questions, references, column = {}, maxSamples } = settings
  const files = [...data, ...against, ...[questions ?? [], references ?? []].flat()]
  const hashes = await sha256Files(await dataFiles(files, settings.resolve))
  const made = {
    judge: judge.name,
    model: await judge.model.identity(),
    asked: judge.identity(),
    rows: [hashes.map(({ sha256 }) => sha256), column, maxSamples ?? null, against.length],
  }
  const before = (await readSealed(path)) as typeof made | undefined
  if (before === undefined) await writeSealed(path, made)
  else {
    const other = (['judge', 'model', 'asked', 'rows'] as const).find(
      (key) => JSON.stringify(before[key]) !== JSON.stringify(made[key]),
    )
    if (other) {
      const what = {
        judge: 'another judge',
        model: 'another model',
        asked: 'another mode or prompt',
        rows: 'other rows',
      }
      throw badInput('other-settings', `holds judgements of ${what[other]}; choose another --output`, { file: root })
    }
  }
  return openLines(join(root, 'judgements.jsonl'), {
    schema: judgementSchema,
    total: Number.POSITIVE_INFINITY,
    group: 1,
  })
}

const endOf = (summary: JudgeSummary, judge: Judge): JudgeEndEvent => ({
  event: 'end',
  n: summary.n,
  errors: summary.errors,
  consistent: summary.consistent,
  errors_by: summary.errorsBy,
  verdicts: summary.verdicts,
  ...(summary.grades && { mean_score: summary.gradeSum / summary.grades }),
  ...costOf(judge.model.spent),
})

const costOf = ({ promptTokens, completionTokens, ...counts }: Spent) => ({
  ...counts,
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
})

/** For people. */
export const endText = (end: JudgeEndEvent): string => {
  const { n, errors, consistent, errors_by, verdicts, mean_score, asked, cached, cost, preferences } = end
  const by = Object.entries(errors_by).map(([code, count]) => `${code} ${whole(count)}`)
  const { A, B, tie } = verdicts
  return [
    `${plural(n, 'row')}: A ${whole(A)}, B ${whole(B)}, tie ${whole(tie)}, ${plural(errors, 'error')}${by.length ? ` (${by.join(', ')})` : ''}`,
    mean_score === undefined ? `both orders agree on ${whole(consistent)}` : `mean grade ${mean_score.toFixed(2)}`,
    `${plural(asked, 'request')}, ${whole(cached)} from the cache, ${whole(end.prompt_tokens)} + ${whole(end.completion_tokens)} tokens${cost === undefined ? '' : `, $${cost.toPrecision(3)}`}`,
    ...(preferences ? [preferencesText(preferences)] : []),
  ].join('\n')
}

const preferencesText = ({ file, rows, dropped }: NonNullable<JudgeEndEvent['preferences']>): string => {
  const reasons = Object.entries(dropped).map(([reason, n]) => `${reason} ${whole(n)}`)
  return `${plural(rows, 'row')} to train on in ${file}${reasons.length ? `; none from ${reasons.join(', ')}` : ''}`
}
