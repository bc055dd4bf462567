/**
 * A model as a judge (arXiv 2306.05685, MT-bench): of two answers, of one answer by a grade from 1 to 10, with a reference, or
 * by the probabilities of the options (A) and (B) without generating anything.
 *
 * ```ts
 * const judge = await openJudge('http://127.0.0.1:8000/v1#NAME', { mode: 'pairwise', concurrency: 64 })
 * for await (const { verdict, verdicts } of judge.judge([{ id: 1, question: '2 + 2?', answers: ['4', '5'] }])) ...
 * await judge.close()
 * ```
 *
 * Two answers are judged in both orders. A win counts only where both agree; otherwise it is a tie. A reply without a verdict,
 * a cut one and a request that failed make the row an error with a reason; nothing is guessed.
 */
import type { Message } from '../../data/messages.ts'
import type { Text } from '../../data/rows.ts'
import type { TemplateArguments } from '../../data/template.ts'
import { isUrl } from '../../endpoint/open.node.ts'
import { badInput } from '../../util/fault.ts'
import { openTextModel, type TextModelSettings } from '../textModel/openTextModel.ts'
import type { OptionLogps, TextCompletion, TextFailure, TextModel } from '../textModel/textModel.ts'
import { type JudgeTemplate, loadTemplate, type PromptName, renderPrompt } from './prompt.ts'
import {
  eitherFormat,
  formats,
  gradeFormat,
  readGrade,
  readStructuredGrade,
  readStructuredVerdict,
  readVerdict,
  type Verdict,
  verdictFormat,
} from './verdict.ts'

/** What a judge is asked: which of two answers is better, a grade of one, a grade beside a reference answer, or A or B by their probabilities. */
export const judgeModes = ['pairwise', 'single', 'reference', 'options'] as const
/** One of `judgeModes`. */
export type JudgeMode = (typeof judgeModes)[number]

/** A question with one answer or two, to be judged. */
export type JudgeCase = {
  /** Stands in its judgement. */
  id: string | number
  /** What the user asked: a text, or a conversation as text. */
  question: string
  /** The prompt as the row has it, where both answers are to the same one. */
  prompt?: string | readonly Message[]
  /** One or two. */
  answers: readonly string[]
  /** The answers as the row has them: texts or turns. */
  responses?: readonly Text[]
  /** What the row says to a chat template beside its messages. */
  template?: TemplateArguments
  /** The right answer, for the mode `reference`. */
  reference?: string
  /** Why it cannot be judged, found before: then no model is asked. */
  trouble?: {
    /** A short stable word, as in a Fault. */
    code: string
    /** The same as a sentence. */
    message: string
  }
  /** What its judgement tells of it beside the verdict: names of the models, lengths, category, turn. */
  about?: Readonly<Record<string, string | number | undefined>>
}

/** What a judge said of a case. */
export type Judgement = {
  /** That of the case. */
  id: string | number
  /** Of two answers, A the first in the row. Null for one answer that has a grade. */
  verdict: Verdict | 'error' | null
  /** Of the first order and of the second, A the first answer in the row in both. */
  verdicts: (Verdict | 'error')[]
  /** Grades of the answers; in option mode P(A is better) by the first order and by the second. */
  scores: number[]
  /** The judge's name. */
  judge: string
  /** What the judge said in the first order; of an error its code and message. */
  reason: string
  /** Code of an error: 'no-verdict', 'truncated', 'no-reference', 'no-second-answer', 'endpoint', ... */
  error?: string
  /** All replies, as they came. */
  replies?: string[]
}

/** How a judge asks. */
export type JudgeSettings = {
  /** What it is asked. */
  mode: JudgeMode
  /** Only the order of the row: half the price, and the judge's liking for a position goes into the verdicts. */
  singleOrder?: boolean
  /** Asks a server for JSON by a schema. */
  structured?: boolean
  /** A template instead of attune's own. */
  promptFile?: string
  /** 1024 by default. A reply that is cut is an error. */
  maxNewTokens?: number
  /** Reads a grade; by default the last `[[n]]` alone. */
  readGrade?: (reply: string) => number | undefined
}

/** Of one call of `judge`. */
export type JudgeOptions = {
  /** After it aborts no model is asked any more. */
  signal?: AbortSignal
  /** Calls the first answer B and the second A, to tell the name's part in a bias from the position's. */
  renamed?: boolean
}

/** A model that judges answers. */
export type Judge = {
  /** The model's name, and of a server its address. */
  readonly name: string
  /** The model that is asked. */
  readonly model: TextModel
  /** How many requests a case with so many answers takes. */
  calls(answers: number): number
  /** What the verdicts depend on beside the model: mode, orders, prompts. */
  identity(): unknown
  /** In the order of the cases, which are drawn as they are needed. Throws the Faults of `TextModel.complete`, and 'no-structured'. */
  judge(cases: Iterable<JudgeCase> | AsyncIterable<JudgeCase>, options?: JudgeOptions): AsyncGenerator<Judgement>
  /** Ends the engine of a local model. */
  close(): Promise<void>
}

/**
 * Opens a judge. Faults: those of `openTextModel` and `loadTemplate`, 'bad-flag' for --structured.
 * @param spec a local model (folder, hub id, run), or `URL#MODEL` of a server
 * @param settings how it asks, and how the model is opened
 */
export const openJudge = async (spec: string, settings: JudgeSettings & TextModelSettings): Promise<Judge> => {
  if (settings.structured && (settings.mode === 'options' || !isUrl(spec)))
    throw badInput(
      'bad-flag',
      settings.mode === 'options' ? 'goes with generated verdicts, not with --mode options' : 'needs a server',
      { flag: '--structured' },
    )
  const templates = await loadTemplates(settings)
  const model = await openTextModel(spec, settings)
  return makeJudge(model, settings, templates)
}

type Templates = { one?: JudgeTemplate; two?: JudgeTemplate }

/** The templates that a mode needs: for one answer and for two. */
export const loadTemplates = async ({ mode, promptFile }: JudgeSettings): Promise<Templates> => {
  const load = (name: PromptName) => loadTemplate(name, promptFile)
  if (mode === 'single') return { one: await load('single') }
  if (mode === 'pairwise') return { two: await load('pairwise') }
  if (mode === 'options') return { two: await load('options') }
  // A file of the user serves rows of two answers or of one, by its placeholders
  if (promptFile === undefined) return { one: await load('reference-single'), two: await load('reference-pairwise') }
  const two = await load('reference-pairwise').catch(() => undefined)
  return two ? { two } : { one: await load('reference-single') }
}

/** A judge of a model that is open already; closing it closes the model. */
export const makeJudge = (model: TextModel, settings: JudgeSettings, templates: Templates): Judge => {
  const { mode, singleOrder = false, structured = false, maxNewTokens = 1024 } = settings
  const plan = planner(settings, templates)
  return {
    name: model.name,
    model,
    calls: (answers) => plan.calls(answers),
    identity: () => [mode, singleOrder, structured, maxNewTokens, templates],
    async *judge(cases, { signal, renamed = false } = {}) {
      const waiting: Planned[] = []
      const asks = async function* () {
        for await (const each of cases) {
          signal?.throwIfAborted()
          const planned = plan.of(each, renamed)
          waiting.push(planned)
          yield planned
        }
      }
      const results =
        mode === 'options' ? optionResults(model, asks(), signal) : replies(model, asks(), settings, signal)
      for await (const result of results) {
        // Cases without a request have no result of their own
        while (waiting.length && !waiting[0].prompts.length) yield judgementOf(model.name, waiting.shift()!)
        const [first] = waiting
        first.results.push(result)
        if (first.results.length < (mode === 'options' ? 1 : first.prompts.length)) continue
        yield judgementOf(model.name, waiting.shift()!)
      }
      for (const rest of waiting) yield judgementOf(model.name, rest)
    },
    close: () => model.close(),
  }
}

// What a case is asked

type Result = TextCompletion | TextFailure | OptionLogps
type Planned = {
  of: JudgeCase
  /** Of each request: the conversation. */
  prompts: Message[][]
  read: (results: Result[]) => Omit<Judgement, 'id' | 'judge'>
  results: Result[]
}

const troubled = (code: string, message: string, replies?: string[]): Omit<Judgement, 'id' | 'judge'> => ({
  verdict: 'error',
  verdicts: [],
  scores: [],
  reason: `${code}: ${message}`,
  error: code,
  ...(replies && { replies }),
})

const planner = (settings: JudgeSettings, { one, two }: Templates) => {
  const { mode, singleOrder = false, structured = false } = settings
  const orders = singleOrder ? 1 : 2
  const format = structured
    ? { verdict: formats.structuredVerdict, grade: formats.structuredGrade }
    : { verdict: formats.verdict, grade: formats.grade }
  const grading = (answers: number) => mode === 'single' || (mode === 'reference' && (answers === 1 || !two))
  const calls = (answers: number) => (grading(answers) ? answers : orders)
  const refusal = ({ answers, reference, trouble }: JudgeCase) => {
    if (trouble) return troubled(trouble.code, trouble.message)
    if (mode === 'reference' && !reference?.trim())
      return troubled('no-reference', 'the row has no reference, which --mode reference needs')
    if (answers.length < 2 && (mode === 'pairwise' || mode === 'options' || (mode === 'reference' && !one)))
      return troubled('no-second-answer', `the row has one answer, and --mode ${mode} compares two`)
    return undefined
  }
  const of = (each: JudgeCase, renamed: boolean): Planned => {
    const refused = refusal(each)
    if (refused) return { of: each, prompts: [], read: () => refused, results: [] }
    const { question, answers, reference } = each
    if (grading(answers.length)) {
      const prompts = answers.map((answer) =>
        renderPrompt(one!, { question, answers: [answer], reference }, { format: format.grade }),
      )
      return { of: each, prompts, read: (results) => readGrades(results, settings), results: [] }
    }
    const [a, b] = answers
    const prompts = [[a, b], ...(singleOrder ? [] : [[b, a]])].map((shown) =>
      renderPrompt(two!, { question, answers: shown, reference }, { format: format.verdict, renamed }),
    )
    const read = (results: Result[]) =>
      mode === 'options' ? readOptions(results[0], renamed) : readVerdicts(results, settings, renamed)
    return { of: each, prompts, read, results: [] }
  }
  return { calls, of }
}

async function* replies(
  model: TextModel,
  asked: AsyncIterable<Planned>,
  { mode, structured, maxNewTokens = 1024 }: JudgeSettings,
  signal: AbortSignal | undefined,
): AsyncGenerator<TextCompletion | TextFailure> {
  const prompts = async function* () {
    for await (const each of asked) yield* each.prompts
  }
  const format = { single: gradeFormat, reference: eitherFormat, pairwise: verdictFormat, options: undefined }[mode]
  const responseFormat = structured ? format : undefined
  for await (const result of model.complete(prompts(), { maxNewTokens, temperature: 0, responseFormat, signal })) {
    if (responseFormat && isRefused(result, 'response_format'))
      throw badInput('no-structured', `${model.name} holds no reply to a JSON schema (response_format); leave it out`, {
        flag: '--structured',
      })
    yield result
  }
}

/** Whether the server refused the request for a parameter, as it would any other with it. */
const isRefused = (result: TextCompletion | TextFailure, parameter: string): boolean =>
  'failure' in result && result.failure.code === 'endpoint-refused' && result.failure.message.includes(parameter)

async function* optionResults(
  model: TextModel,
  asked: AsyncIterable<Planned>,
  signal: AbortSignal | undefined,
): AsyncGenerator<OptionLogps | TextFailure> {
  const questions = async function* () {
    for await (const { prompts } of asked) if (prompts.length) yield { prompts, options: ['A', 'B'] }
  }
  yield* model.options(questions(), { signal })
}

// What it answered

const judgementOf = (judge: string, { of: { id, about }, read, results }: Planned): Judgement => ({
  id,
  ...about,
  judge,
  ...read(results),
})

/** The reply, or why there is none that counts. */
const replyOf = (result: Result): { text: string; trouble?: [string, string] } => {
  if ('failure' in result) return { text: '', trouble: [result.failure.code, result.failure.message] }
  const { text, finishReason } = result as TextCompletion
  if (finishReason === 'length') return { text, trouble: ['truncated', 'the reply was cut at the limit of its length'] }
  return { text }
}

const noVerdict: [string, string] = ['no-verdict', 'the reply has no verdict in the asked form']

const mirrored = (verdict: Verdict, swapped: boolean): Verdict =>
  verdict === 'tie' || !swapped ? verdict : verdict === 'A' ? 'B' : 'A'

/** A win counts only where all orders agree. */
const agreed = (verdicts: readonly Verdict[]): Verdict =>
  verdicts.every((verdict) => verdict === verdicts[0]) ? verdicts[0] : 'tie'

const readVerdicts = (results: readonly Result[], { structured }: JudgeSettings, renamed: boolean) => {
  const read = structured ? readStructuredVerdict : readVerdict
  const said = results.map((result, order) => {
    const { text, trouble } = replyOf(result)
    const verdict = trouble ? undefined : read(text)
    // The second order shows the answers the other way round, and renaming calls them the other way round
    return {
      text,
      trouble: trouble ?? (verdict ? undefined : noVerdict),
      verdict: verdict && mirrored(verdict, (order === 1) !== renamed),
    }
  })
  const texts = said.map(({ text }) => text)
  const verdicts = said.map(({ verdict }) => verdict ?? ('error' as const))
  const at = said.findIndex(({ trouble }) => trouble)
  if (at >= 0) {
    const [code, message] = said[at].trouble!
    return { ...troubled(code, `${message}${at ? ' (second order)' : ''}`, texts), verdicts }
  }
  return { verdict: agreed(verdicts as Verdict[]), verdicts, scores: [], reason: texts[0], replies: texts }
}

const readGrades = (results: readonly Result[], settings: JudgeSettings) => {
  const read = settings.readGrade ?? (settings.structured ? readStructuredGrade : readGrade)
  const said = results.map((result) => {
    const { text, trouble } = replyOf(result)
    const grade = trouble ? undefined : read(text)
    return { text, grade, trouble: trouble ?? (grade === undefined ? noVerdict : undefined) }
  })
  const texts = said.map(({ text }) => text)
  const at = said.findIndex(({ trouble }) => trouble)
  if (at >= 0) return troubled(said[at].trouble![0], `${said[at].trouble![1]}${at ? ' (second answer)' : ''}`, texts)
  const scores = said.map(({ grade }) => grade!)
  const [a, b] = scores
  const verdict = scores.length !== 2 ? null : a === b ? 'tie' : a > b ? 'A' : 'B'
  return {
    verdict: verdict as Judgement['verdict'],
    verdicts: verdict === null ? [] : [verdict as Verdict],
    scores,
    reason: texts[0],
    replies: texts,
  }
}

/** Probabilities of (A) after each order. Both orders in one pass, without a word generated. */
const readOptions = (result: Result, renamed: boolean): Omit<Judgement, 'id' | 'judge'> => {
  if ('failure' in result) return troubled(result.failure.code, result.failure.message)
  const { logps, mass } = result as OptionLogps
  const scores = logps.map(([a, b], order) => Math.exp((order === 1) !== renamed ? b : a))
  const verdicts = scores.map((p): Verdict => (p === 0.5 ? 'tie' : p > 0.5 ? 'A' : 'B'))
  const share = mass.map((each) => `${(100 * each).toFixed(1)} %`).join(' and ')
  return { verdict: agreed(verdicts), verdicts, scores, reason: `(A) and (B) have ${share} of the probability` }
}
