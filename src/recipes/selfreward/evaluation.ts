/**
 * The evaluation of each model: how far its judge agrees with people's rankings that nothing is learnt from, its greedy answers to
 * the same prompts and their length, and by an outside judge how often it answers better than the model before it.
 */
import { z } from 'zod'
import { withoutTurn } from '../../data/chatRows.ts'
import { promptText } from '../../data/prompts.ts'
import { isMessages, type Text } from '../../data/rows.ts'
import { type PairCounts, pairAgreement } from '../../feedback/selfReward/pairs.ts'
import type { TextPrompt } from '../../feedback/textModel/textModel.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import { wilson } from '../../statistics/intervals.ts'
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
import { meansOf, openScoreOptions, parseCounts, readScores } from './judges.ts'
import { type IterationFigures, judgeOf, meanWords, readFigures } from './preferences.ts'
import { rankedAnswers } from './seedRows.ts'
import { completeTexts, groupOf, type TextLine, textLineSchema } from './texts.ts'

/** Prompts that models are compared on, at most. */
const mostPrompts = 64

const evaluationFiles = (context: SelfRewardContext, model: number) => {
  const at = (name: string) => pathIn(context, 'evaluations', modelName(model), name)
  return {
    judgements: at('judgements.jsonl'),
    answers: at('answers.jsonl'),
    wins: at('wins.jsonl'),
    figures: at('figures.jsonl'),
  }
}

const countsSchema = z.object({ same: z.number(), tied: z.number(), other: z.number(), unscored: z.number() })
const winsSchema = z.object({ wins: z.number(), ties: z.number(), losses: z.number(), errors: z.number() })
const figuresSchema = z.object({
  model: z.string(),
  /** Answers to the prompts, and their mean length in words. */
  answers: z.number(),
  words: z.number(),
  /** Pairs of held-out rankings by how the judge orders them, and how many of its judgements had a score. */
  agreement: countsSchema.optional(),
  judgements: z.number().optional(),
  parsed: z.number().optional(),
  /** Against the model before, by the outside judge. */
  wins: winsSchema.optional(),
})
export type Evaluation = z.infer<typeof figuresSchema>
export type WinCounts = z.infer<typeof winsSchema>

export const readEvaluation = async (context: SelfRewardContext, model: number): Promise<Evaluation> =>
  (await readLines(evaluationFiles(context, model).figures, figuresSchema, 1))[0]

/** Prompts of held-out rankings, or else of the instruction data: the first different ones without template arguments. */
export const evaluationPrompts = async ({ heldOut, rows }: SelfRewardContext): Promise<Text[]> => {
  const source = heldOut ?? rows
  const found = new Map<string, Text>()
  for (let i = 0; i < source.length && found.size < mostPrompts; i++) {
    const { prompt, template } = await source.row(i)
    if (!template) found.set(JSON.stringify(prompt), prompt)
  }
  return [...found.values()]
}

/** The answers that a model gave to the evaluation prompts. */
export const readAnswers = async (context: SelfRewardContext, model: number, total: number): Promise<string[]> => {
  const lines: TextLine[] = await readLines(evaluationFiles(context, model).answers, textLineSchema, total)
  return lines.map(({ text = '' }) => text)
}

/** A share of pairs with half of the ties, and its interval; undefined without pairs. */
export const agreementShare = ({ same, tied, other }: PairCounts) => {
  const total = same + tied + other
  return total ? wilson(same + tied / 2, total) : undefined
}
/** The win rate with half of the ties, and its interval. */
export const winShare = ({ wins, ties, losses }: WinCounts) => {
  const total = wins + ties + losses
  return total ? wilson(wins + ties / 2, total) : undefined
}

export async function* evaluationPhase(context: SelfRewardContext, model: number): Phase {
  const { settings, signal, steps } = context
  const name = modelName(model)
  const files = evaluationFiles(context, model)
  const prompts = await evaluationPrompts(context)
  const writer = await textModelOf(context, name)
  const sampling = { temperature: 0, maxNewTokens: settings.maxNewTokens }
  const options = { schema: textLineSchema, total: prompts.length, group: groupOf(1, settings.maxNewTokens) }
  const answered = yield* withLines(files.answers, options, async function* (file) {
    const asked = (i: number): TextPrompt => prompts[i] as TextPrompt
    yield* completeTexts(writer, { length: prompts.length, asked, samples: 1, settings: sampling, signal }, file)
    return file.length === prompts.length
  })
  if (!answered) return false
  const texts = await readAnswers(context, model, prompts.length)
  const agreement = yield* agreementWithPeople(context, model)
  if (agreement === 'interrupted') return false
  const wins = model > 1 ? yield* winsOverBefore(context, model, prompts, texts) : undefined
  if (wins === 'interrupted') return false
  const figures: Evaluation = { model: name, answers: prompts.length, words: meanWords(texts), ...agreement, wins }
  await keepLines(files.figures, [figures])
  const made = model > 1 ? iterationMetrics(await readFigures(context, model - 1)) : {}
  yield {
    event: 'eval',
    step: steps.before,
    iteration: model - 1,
    model: name,
    ...metricsOf(figures),
    ...made,
  } as never
  return true
}

/** The figures by the names of `eval` events. */
const metricsOf = ({ words, agreement, judgements, parsed, wins }: Evaluation): Record<string, number> => {
  const agreed = agreement && agreementShare(agreement)
  const won = wins && winShare(wins)
  return {
    eval_words: words,
    ...(agreed && {
      eval_judge_agreement: agreed.share,
      eval_judge_agreement_low: agreed.low,
      eval_judge_agreement_high: agreed.high,
      eval_judge_pairs: agreed.total,
    }),
    ...(judgements && { eval_judge_parse_rate: parsed! / judgements }),
    ...(won && {
      eval_new_win_rate: won.share,
      eval_new_win_rate_low: won.low,
      eval_new_win_rate_high: won.high,
      eval_wins: wins.wins,
      eval_ties: wins.ties,
      eval_losses: wins.losses,
      eval_judge_errors: wins.errors,
    }),
  }
}

/** Of the iteration that the model learnt from. */
const iterationMetrics = ({ pairs, judgements, parsed, mean_score }: IterationFigures): Record<string, number> => ({
  eval_pairs: pairs,
  eval_parse_rate: parsed / Math.max(1, judgements),
  ...(mean_score !== null && { eval_mean_score: mean_score }),
})

type Agreement = Pick<Evaluation, 'agreement' | 'judgements' | 'parsed'>

/** The judge's scores of the answers that people ranked. Another judge than the model itself stays the same, so it is asked once. */
async function* agreementWithPeople(
  context: SelfRewardContext,
  model: number,
): AsyncGenerator<never, Agreement | 'interrupted'> {
  const { heldOut, settings, signal } = context
  if (!heldOut || (context.judge && model > 1)) return {}
  const answers = await rankedAnswers(heldOut)
  const judge = await judgeOf(context, modelName(model))
  const options = openScoreOptions(judge, answers)
  const seed = samplingSeed('selfPlay', settings.seed, model, 14)
  const path = evaluationFiles(context, model).judgements
  const judged = yield* withLines(path, options, async function* (file) {
    yield* judge.score(answers, file, { seed, signal }) as AsyncGenerator<never>
    return file.length < options.total ? undefined : readScores(file, answers, judge.draws)
  })
  if (!judged) return 'interrupted'
  const scored = answers.map(({ ranks }, i) => ({ ranks, scores: meansOf(judged[i]) }))
  return { agreement: pairAgreement(scored), ...parseCounts(judged) }
}

const winSchema = z.object({
  verdict: z.enum(['A', 'B', 'tie', 'error']),
  verdicts: z.array(z.string()),
  reason: z.string(),
  error: z.string().optional(),
})
/** Comparisons that are written together. */
const winGroup = 16

/** The outside judge compares the answers of the model (A) with those of the one before (B), in both orders. */
async function* winsOverBefore(
  context: SelfRewardContext,
  model: number,
  prompts: readonly Text[],
  texts: readonly string[],
): AsyncGenerator<never, WinCounts | undefined | 'interrupted'> {
  const { outsideJudge, signal } = context
  if (!outsideJudge) return undefined
  const before = await readAnswers(context, model - 1, prompts.length)
  const judge = await outsideJudge.open()
  const cases = prompts.map((prompt, id) => ({ id, question: questionOf(prompt), answers: [texts[id], before[id]] }))
  const options = { schema: winSchema, total: cases.length, group: winGroup }
  return yield* withLines(
    evaluationFiles(context, model).wins,
    options,
    // biome-ignore lint/correctness/useYield: a comparison takes little time
    async function* (file) {
      while (file.length < cases.length) {
        const lines: z.infer<typeof winSchema>[] = []
        try {
          for await (const each of judge.judge(cases.slice(file.length, file.length + winGroup), { signal }))
            lines.push({
              ...{ verdict: each.verdict ?? 'error', verdicts: each.verdicts, reason: each.reason },
              ...(each.error && { error: each.error }),
            })
        } catch (error) {
          if (signal.aborted) return 'interrupted' as const
          throw error
        }
        await file.append(lines)
      }
      const counts = { A: 0, tie: 0, B: 0, error: 0 }
      for (let i = 0; i < cases.length; i++) counts[(await file.read(i)).verdict]++
      return { wins: counts.A, ties: counts.tie, losses: counts.B, errors: counts.error }
    },
  )
}

const questionOf = (prompt: Text): string => {
  const text = withoutTurn(prompt)
  return isMessages(text) ? promptText({}, text) : (text as string)
}
