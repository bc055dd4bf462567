/** The answers of an iteration, their scores, and the best against the worst as preference pairs. */
import { z } from 'zod'
import { userTurn } from '../../data/chatRows.ts'
import { bestAgainstWorst } from '../../feedback/selfReward/pairs.ts'
import type { TextPrompt } from '../../feedback/textModel/textModel.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import { countWarnings } from '../trainer/dataset.ts'
import {
  keepLines,
  modelName,
  type Phase,
  pathIn,
  readLines,
  type SelfRewardContext,
  textModelOf,
  withLines,
} from './context.ts'
import { type AnswersToScore, type Judge, meansOf, openScoreOptions, parseCounts, readScores } from './judges.ts'
import { readPrompts } from './newPrompts.ts'
import { ownJudge } from './seedRows.ts'
import { completeTexts, groupOf, type TextLine, textLineSchema } from './texts.ts'

export const preferenceFiles = (context: SelfRewardContext, iteration: number) => {
  const at = (name: string) => pathIn(context, 'iterations', `${iteration}`, name)
  return {
    responses: at('responses.jsonl'),
    judgements: at('judgements.jsonl'),
    pairs: at('pairs.jsonl'),
    dropped: at('pairs-dropped.jsonl'),
  }
}

export const pairSchema = z.object({
  prompt: z.unknown(),
  chosen: z.unknown(),
  rejected: z.unknown(),
  score_chosen: z.number(),
  score_rejected: z.number(),
  /** The number of the prompt, of the two responses, and all mean scores, null where none could be read. */
  number: z.number(),
  responses: z.array(z.number()),
  scores: z.array(z.number().nullable()),
})
export type Pair = z.infer<typeof pairSchema>

const droppedSchema = z.object({ number: z.number(), dropped: z.string(), scores: z.array(z.number().nullable()) })

/** A new prompt as the policy reads it. */
const policyPrompt = ({ chat }: SelfRewardContext, prompt: string): TextPrompt => (chat ? userTurn(prompt) : prompt)

/** The model answers each new prompt several times. */
export async function* responsePhase(context: SelfRewardContext, iteration: number): Phase {
  const { settings, signal } = context
  const { numGenerations: samples, temperature, topP, maxNewTokens } = settings
  const prompts = await readPrompts(context, iteration)
  const model = await textModelOf(context, modelName(iteration))
  const seed = samplingSeed('selfPlay', settings.seed, iteration, 12)
  const total = prompts.length * samples
  const options = { schema: textLineSchema, total, group: groupOf(samples, maxNewTokens) }
  return yield* withLines(preferenceFiles(context, iteration).responses, options, async function* (file) {
    const job = {
      ...{ length: prompts.length, samples, settings: { temperature, topP, maxNewTokens, seed }, signal },
      asked: (i: number) => policyPrompt(context, prompts[i].prompt),
    }
    yield* completeTexts(model, job, file)
    if (file.length < total) return false
    const { text } = total ? await file.read(0) : {}
    if (text !== undefined)
      yield {
        event: 'sample',
        step: context.steps.before,
        iteration,
        prompt: prompts[0].prompt,
        completion: text,
      } as never
    return true
  })
}

/** Prompts and answers of an iteration, as a judge scores them. */
const answersOf = async (context: SelfRewardContext, iteration: number) => {
  const { numGenerations: samples } = context.settings
  const prompts = await readPrompts(context, iteration)
  const total = prompts.length * samples
  const lines: TextLine[] = await readLines(preferenceFiles(context, iteration).responses, textLineSchema, total)
  const answers = prompts.map(
    ({ prompt }, i): AnswersToScore => ({
      prompt: context.chat ? userTurn(prompt) : prompt,
      responses: lines.slice(i * samples, (i + 1) * samples).map(({ text = '' }) => text),
    }),
  )
  return { prompts, lines, answers }
}

/** The judge of an iteration: another one, or the model itself as it is then. */
export const judgeOf = async (context: SelfRewardContext, name: string): Promise<Judge> =>
  context.judge ? context.judge.open() : ownJudge(context, name)

/** Every answer is scored. */
export async function* judgementPhase(context: SelfRewardContext, iteration: number): Phase {
  const { settings, signal } = context
  const { answers } = await answersOf(context, iteration)
  const judge = await judgeOf(context, modelName(iteration))
  const options = openScoreOptions(judge, answers)
  const seed = samplingSeed('selfPlay', settings.seed, iteration, 13)
  return yield* withLines(preferenceFiles(context, iteration).judgements, options, async function* (file) {
    yield* judge.score(answers, file, { seed, signal })
    return file.length === options.total
  })
}

/** Figures of an iteration, for its report. */
export type IterationFigures = {
  iteration: number
  prompts: number
  judgements: number
  parsed: number
  /** How often each number of points was given; of judges that give other numbers, none. */
  points: Record<string, number>
  mean_score: number | null
  pairs: number
  /** Why prompts gave no pair, and answers were not scored. */
  dropped: Record<string, number>
  /** Mean words of all answers, and of both sides of the pairs. */
  words: { all: number; chosen: number; rejected: number }
  /** Answers that --max-new-tokens cut off. */
  cut: number
}

const wordsOf = (text: string) => text.split(/\s+/).filter(Boolean).length
export const meanWords = (texts: readonly string[]): number =>
  texts.length ? texts.reduce((n, text) => n + wordsOf(text), 0) / texts.length : 0

const counted = (values: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}

/** The best answer of each prompt against the worst. @returns what is told of the iteration */
export async function* pairPhase(context: SelfRewardContext, iteration: number): Phase {
  const files = preferenceFiles(context, iteration)
  const { prompts, lines, answers } = await answersOf(context, iteration)
  const draws = context.judge && !context.judge.writes ? 1 : context.settings.numJudgements
  const judged = yield* withLines(
    files.judgements,
    openScoreOptions({ draws, group: 1 }, answers),
    // biome-ignore lint/correctness/useYield: it only reads
    async function* (file) {
      return readScores(file, answers, draws)
    },
  )
  const pairs: Pair[] = []
  const dropped: z.infer<typeof droppedSchema>[] = []
  const turn = (text: string) => (context.chat ? [{ role: 'assistant', content: text }] : text)
  answers.forEach(({ prompt, responses }, number) => {
    const means = meansOf(judged[number])
    const scores = means.map((score) => score ?? null)
    const found = bestAgainstWorst(responses, means)
    if (typeof found === 'string') {
      dropped.push({ number, dropped: found, scores })
      return
    }
    const { chosen, rejected } = found
    pairs.push({
      ...{ prompt, chosen: turn(responses[chosen]), rejected: turn(responses[rejected]) },
      ...{ score_chosen: means[chosen]!, score_rejected: means[rejected]! },
      ...{ number, responses: [chosen, rejected], scores },
    })
  })
  await keepLines(files.pairs, pairs)
  await keepLines(files.dropped, dropped)
  const figures = figuresOf({ iteration, prompts: prompts.length, answers, lines, judged, pairs, dropped })
  await writeFigures(context, iteration, figures)
  yield* countWarnings(Object.entries(counted(dropped.map(({ dropped }) => dropped))), pairMessages)
  return true
}

const figuresOf = ({
  iteration,
  prompts,
  answers,
  lines,
  judged,
  pairs,
  dropped,
}: {
  iteration: number
  prompts: number
  answers: readonly AnswersToScore[]
  lines: readonly TextLine[]
  judged: Awaited<ReturnType<typeof readScores>>
  pairs: readonly Pair[]
  dropped: readonly { dropped: string }[]
}): IterationFigures => {
  const all = judged.flat(2)
  const scores = all.flatMap(({ score }) => (score === undefined ? [] : [score]))
  const side = (k: number) => pairs.map(({ number, responses }) => answers[number].responses[responses[k]])
  return {
    iteration,
    prompts,
    ...parseCounts(judged),
    points: counted(all.flatMap(({ text, score }) => (text && score !== undefined ? [`${score}`] : []))),
    mean_score: scores.length ? scores.reduce((a, b) => a + b, 0) / scores.length : null,
    pairs: pairs.length,
    dropped: {
      ...counted(dropped.map((each) => each.dropped)),
      ...counted(all.flatMap(({ dropped }) => dropped ?? [])),
    },
    words: {
      all: meanWords(answers.flatMap(({ responses }) => responses)),
      chosen: meanWords(side(0)),
      rejected: meanWords(side(1)),
    },
    cut: lines.filter(({ finish_reason }) => finish_reason === 'length').length,
  }
}

const pairMessages: Record<string, string> = {
  'fewer-than-two-scored': 'prompts without a pair: fewer than two answers have a score that can be read',
  'equal-scores': 'prompts without a pair: all answers have the same score',
  'equal-texts': 'prompts without a pair: the best and the worst answer are the same text',
}

// The figures on the disk

const figuresSchema = z.object({
  iteration: z.number(),
  prompts: z.number(),
  judgements: z.number(),
  parsed: z.number(),
  points: z.record(z.string(), z.number()),
  mean_score: z.number().nullable(),
  pairs: z.number(),
  dropped: z.record(z.string(), z.number()),
  words: z.object({ all: z.number(), chosen: z.number(), rejected: z.number() }),
  cut: z.number(),
})

const figuresPath = (context: SelfRewardContext, iteration: number) =>
  pathIn(context, 'iterations', `${iteration}`, 'figures.jsonl')

const writeFigures = (context: SelfRewardContext, iteration: number, figures: IterationFigures) =>
  keepLines(figuresPath(context, iteration), [figures])

export const readFigures = async (context: SelfRewardContext, iteration: number): Promise<IterationFigures> =>
  (await readLines(figuresPath(context, iteration), figuresSchema, 1))[0]
