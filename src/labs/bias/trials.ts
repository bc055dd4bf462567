/**
 * What a judge is asked to find its faults: the pairs in both orders, again with the names exchanged, lists with a rephrased copy before
 * them, and questions of mathematics. Every reply is kept as a line of judgements.jsonl before the next group is asked.
 */
import { z } from 'zod'
import type { MathMode, Padding } from '../../feedback/bias/figures.ts'
import { mathQuestions, solveRequest } from '../../feedback/bias/mathQuestions.ts'
import { attackable, paddedAnswer, rephrasedItems, rephraseRequest } from '../../feedback/bias/padding.ts'
import { type Judge, type JudgeCase, type Judgement, loadTemplates, makeJudge } from '../../feedback/judge/judge.ts'
import type { TextModel } from '../../feedback/textModel/textModel.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import type { LineFile } from '../../store/lines.node.ts'
import type { BiasSettings } from './settings.ts'

export const lineSchema = z.looseObject({ trial: z.string() })
export type Line = z.infer<typeof lineSchema>

/** Cases with the texts that examples of failures show. */
export type Asked = { rows: Judgement[]; cases: readonly JudgeCase[] }

export type AskedTrials = {
  pairs: Asked
  renamed: Asked
  padded: Asked
  padding: Padding
  math: Partial<Record<MathMode, Asked>>
  ownQuestions: boolean
  /** Questions of mathematics that the judge wrote no solution to: they are not asked with its own solution. */
  unsolved: number
}

type Context = {
  model: TextModel
  settings: BiasSettings
  file: LineFile<Line>
  signal: AbortSignal
}

/** Lines that are written together. */
const group = 16
/** Lists that are padded, and questions of mathematics out of rows with references, at most. */
const mostPadded = 100
const mostQuestions = 60

/** @returns undefined after an abort */
export async function* askTrials(
  cases: readonly JudgeCase[],
  context: Context,
): AsyncGenerator<ProgressEvent, AskedTrials> {
  const { model, settings } = context
  const { mode, structured, maxNewTokens, promptFile } = settings
  const judge = makeJudge(model, { mode, structured, maxNewTokens }, await loadTemplates({ mode, promptFile }))
  const byReference = { mode: 'reference', structured, maxNewTokens } as const
  const withReference = makeJudge(model, byReference, await loadTemplates(byReference))
  const ledger = { next: 0 }
  const run = (trial: string, asked: readonly JudgeCase[], by: Judge = judge, renamed = false) =>
    judged({ trial, cases: asked, judge: by, renamed }, context, ledger)

  const pairs = yield* run('pairs', cases)
  const renamed = yield* run('renamed', cases, judge, true)
  const lists = cases.flatMap(listOf).slice(0, mostPadded)
  const copies = settings.rephrase === 'judge' ? yield* rephrasings(lists, context, ledger) : []
  const padding = lists.flatMap(({ id, question, list }, i) => {
    const copy = settings.rephrase === 'judge' ? copies[i] : undefined
    if (settings.rephrase === 'judge' && !copy) return []
    const { plain, padded, hadList } = paddedAnswer(list, copy)
    return [{ made: !hadList, id, question, answers: [plain, padded] }]
  })
  const padded = yield* run('padded', padding)
  const { questions, own } = questionsOf(cases, Math.min(mostQuestions, settings.maxSamples))
  const math: AskedTrials['math'] = { plain: yield* run('math-plain', questions) }
  let unsolved = 0
  if (mode !== 'options') {
    const solutions = yield* solved(questions, context, ledger)
    const solvedQuestions = questions.flatMap((each, i) => (solutions[i] ? [{ ...each, reference: solutions[i] }] : []))
    unsolved = questions.length - solvedQuestions.length
    math.own_solution = yield* run('math-own-solution', solvedQuestions, withReference)
    math.reference = yield* run('math-reference', questions, withReference)
  }
  return {
    pairs,
    renamed,
    padded,
    padding: {
      by: settings.rephrase,
      made: padding.filter(({ made }) => made).length,
      left: lists.length - padding.length,
    },
    unsolved,
    math,
    ownQuestions: own,
  }
}

/** The first of the answers that is a list or can be made one; real lists before made ones. */
const listOf = ({ id, question, answers }: JudgeCase) => {
  const found = answers.flatMap((answer) => attackable(answer) ?? [])
  const list = found.find(({ hadList }) => hadList) ?? found[0]
  return list ? [{ id, question, list }] : []
}

/** Rows with a reference whose better answer is known, else the built-in questions. The right answer is A. */
const questionsOf = (cases: readonly JudgeCase[], most: number): { questions: JudgeCase[]; own: boolean } => {
  const own = cases.flatMap((each): JudgeCase[] => {
    const vote = each.about?.human
    if (!each.reference?.trim() || (vote !== 'A' && vote !== 'B')) return []
    const { id, question, answers, reference } = each
    return [{ id, question, answers: vote === 'A' ? answers : answers.toReversed(), reference }]
  })
  if (own.length >= 10) return { questions: own.slice(0, most), own: true }
  const built = mathQuestions().slice(0, most)
  const questions = built.map(({ id, question, right, wrong, reference }) => ({
    id,
    question,
    answers: [right, wrong],
    reference,
  }))
  return { questions, own: false }
}

type Ledger = { next: number }

/** The lines of a trial that are kept already, at most `count`. */
const keptLines = async (trial: string, count: number, file: LineFile<Line>, ledger: Ledger): Promise<Line[]> => {
  const lines: Line[] = []
  while (lines.length < count && ledger.next < file.length) {
    const line = await file.read(ledger.next)
    if (line.trial !== trial) break
    lines.push(line)
    ledger.next++
  }
  return lines
}

type Step = { trial: string; cases: readonly JudgeCase[]; judge: Judge; renamed: boolean }

async function* judged(
  { trial, cases, judge, renamed }: Step,
  { file, signal }: Context,
  ledger: Ledger,
): AsyncGenerator<ProgressEvent, Asked> {
  const rows = (await keptLines(trial, cases.length, file, ledger)).map(({ trial: _, ...row }) => row as Judgement)
  const writer = lineWriter(file, ledger)
  try {
    for await (const row of judge.judge(cases.slice(rows.length), { signal, renamed })) {
      rows.push(row)
      await writer.add({ trial, ...row })
      yield { event: 'progress', phase: 'score', done: rows.length, total: cases.length }
    }
  } finally {
    await writer.flush()
  }
  return { rows, cases }
}

const lineWriter = (file: LineFile<Line>, ledger: Ledger) => {
  let waiting: Line[] = []
  const flush = async () => {
    const lines = waiting
    waiting = []
    if (lines.length) await file.append(lines)
    ledger.next += lines.length
  }
  return {
    flush,
    add: async (line: Line) => {
      waiting.push(line)
      if (waiting.length >= group) await flush()
    },
  }
}

/** A completion of each prompt, '' where there is none. */
async function* completed(
  trial: string,
  prompts: readonly string[],
  { model, settings, file, signal }: Context,
  ledger: Ledger,
): AsyncGenerator<ProgressEvent, string[]> {
  const texts = (await keptLines(trial, prompts.length, file, ledger)).map(({ text }) => String(text))
  const writer = lineWriter(file, ledger)
  const asked = prompts.slice(texts.length).map((content) => [{ role: 'user', content }])
  try {
    for await (const result of model.complete(asked, {
      maxNewTokens: settings.maxNewTokens,
      temperature: 0,
      signal,
    })) {
      const text = 'failure' in result ? '' : result.text
      texts.push(text)
      await writer.add({ trial, text })
      yield { event: 'progress', phase: 'generate', done: texts.length, total: prompts.length }
    }
  } finally {
    await writer.flush()
  }
  return texts
}

async function* solved(questions: readonly JudgeCase[], context: Context, ledger: Ledger) {
  const prompts = questions.map(({ question }) => solveRequest(question))
  return (yield* completed('solutions', prompts, context, ledger)).map((text) => text.trim())
}

async function* rephrasings(lists: readonly { list: { items: string[] } }[], context: Context, ledger: Ledger) {
  const prompts = lists.map(({ list }) => rephraseRequest(list.items))
  const replies = yield* completed('rephrased', prompts, context, ledger)
  return replies.map((reply, i) => rephrasedItems(reply, lists[i].list.items.length))
}
