/**
 * The rows that the first model learns from: the instruction data (IFT), and rows that teach judging (EFT), given or made of
 * rankings of people. For those a model that has learnt the instruction data alone, or the judge of --judge where it writes,
 * judges the ranked answers; what agrees with the people is kept.
 */
import { z } from 'zod'
import { promptText } from '../../data/prompts.ts'
import { recordFor } from '../../data/records.ts'
import type { Ranking } from '../../data/rows.ts'
import type { RowSource } from '../../data/source.ts'
import { agreeingDraw, thinnedOut } from '../../feedback/selfReward/eft.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import { countWarnings } from '../trainer/dataset.ts'
import {
  baselineName,
  keepLines,
  type Phase,
  pathIn,
  readLines,
  type SelfRewardContext,
  textModelOf,
  withLines,
} from './context.ts'
import {
  type AnswersToScore,
  type Judge,
  judgeText,
  openScoreOptions,
  parseCounts,
  readScores,
  textJudge,
} from './judges.ts'
import { asTurn } from './texts.ts'

export const rowSchema = z.looseObject({})

const keptSchema = z.object({
  /** The row of --rankings and the answer in it, from 0, and which of its judgements this is. */
  row: z.number(),
  answer: z.number(),
  draw: z.number(),
  score: z.number(),
  prompt: z.unknown(),
  completion: z.string(),
})

/** Rankings with their answers as texts. */
export const rankedAnswers = async (
  rows: RowSource<Ranking>,
): Promise<(AnswersToScore & { ranks: Ranking['ranks'] })[]> => {
  const all: (AnswersToScore & { ranks: Ranking['ranks'] })[] = []
  for (let i = 0; i < rows.length; i++) {
    const { prompt, turns, responses, ranks } = await rows.row(i)
    all.push({ prompt: turns ?? prompt, responses: responses.map(answerText), ranks })
  }
  return all
}

/** An answer alone, without the name of the one who gives it. */
const answerText = (response: Ranking['responses'][number]): string =>
  typeof response === 'string'
    ? response.trim()
    : promptText({}, response)
        .replace(/^assistant: /, '')
        .trim()

/** A judge that writes, with the settings of the run. */
export const ownJudge = async (context: SelfRewardContext, name: string): Promise<Judge> =>
  textJudge(await textModelOf(context, name), judgeOptions(context))

export const judgeOptions = ({ settings, templates }: Pick<SelfRewardContext, 'settings' | 'templates'>) => ({
  draws: settings.numJudgements,
  template: templates.judge,
  sampling: { temperature: settings.temperature, topP: settings.topP, maxNewTokens: settings.judgeMaxNewTokens },
})

export const eftFiles = (context: SelfRewardContext) => ({
  judgements: pathIn(context, 'seed', 'eft-judgements.jsonl'),
  kept: pathIn(context, 'seed', 'eft.jsonl'),
  dropped: pathIn(context, 'seed', 'eft-dropped.jsonl'),
  rows: pathIn(context, 'seed', 'sft.jsonl'),
  baselineRows: pathIn(context, 'seed', 'ift.jsonl'),
})

/** The instruction data alone, for the model that makes the EFT rows. */
export const baselineRowsPhase = async (context: SelfRewardContext): Promise<boolean> => {
  await keepLines(eftFiles(context).baselineRows, await iftRecords(context))
  return true
}

const iftRecords = async ({ rows }: SelfRewardContext): Promise<object[]> => {
  const all: object[] = []
  for (let i = 0; i < rows.length; i++) all.push(recordFor('sft', await rows.row(i), {}) as object)
  return all
}

/** Judgements of the answers that people ranked, and those of them that teach judging. */
export async function* eftPhase(context: SelfRewardContext): Phase {
  const { rankings, settings, signal, judge: other } = context
  const { judgements, kept, dropped } = eftFiles(context)
  const answers = await rankedAnswers(rankings!)
  const judge = other?.writes ? await other.open() : await ownJudge(context, baselineName)
  const seed = samplingSeed('selfPlay', settings.seed, 0, 10)
  const judged = yield* withLines(judgements, openScoreOptions(judge, answers), async function* (file) {
    yield* judge.score(answers, file, { seed, signal })
    return file.length < openScoreOptions(judge, answers).total ? undefined : readScores(file, answers, judge.draws)
  })
  if (!judged) return false
  const model = other?.writes ? { chat: context.chat } : await textModelOf(context, baselineName)
  const left: object[] = []
  const found = answers.flatMap(({ prompt, responses, ranks }, row) => {
    // [draw][answer]
    const draws = Array.from({ length: judge.draws }, (_, d) => judged[row].map((each) => each[d]))
    const draw = agreeingDraw(ranks, draws)
    if (typeof draw !== 'number') {
      left.push({ row, dropped: draw, scores: draws.map((each) => each.map(({ score }) => score ?? null)) })
      return []
    }
    return responses.map((response, answer) => ({
      ...{ row, answer, draw, score: draws[draw][answer].score! },
      prompt: asTurn(model, judgeText(context.templates.judge, prompt, response)),
      completion: draws[draw][answer].text,
    }))
  })
  const stays = thinnedOut(
    found.map(({ score }) => score),
    settings.seed,
  )
  found.forEach(({ row, answer, draw, score }, i) => {
    if (!stays[i]) left.push({ row, answer, draw, score, dropped: 'commonest-score' })
  })
  const taught = found.filter((_, i) => stays[i])
  await keepLines(kept, taught)
  context.lines.set('eft', taught.length)
  await keepLines(dropped, left)
  const counts = new Map<string, number>()
  for (const { dropped } of left as { dropped: string }[]) counts.set(dropped, (counts.get(dropped) ?? 0) + 1)
  yield* countWarnings(counts, eftMessages)
  const { judgements: made, parsed } = parseCounts(judged)
  yield {
    event: 'eval',
    step: context.steps.before,
    model: other?.writes ? other.name : baselineName,
    eval_eft_judgements: made,
    eval_eft_parse_rate: made ? parsed / made : 0,
    eval_eft_rows: taught.length,
  } as never
  return true
}

const eftMessages: Record<string, string> = {
  'no-score': 'rankings that taught no judging: not every answer was given a score that can be read',
  'other-order': "rankings that taught no judging: no judgement put their answers in the people's order",
  'commonest-score': 'judgements with the commonest score that were left out, so that the others are seen',
}

/** All rows that the first model learns from. */
export const seedRowsPhase = async (context: SelfRewardContext): Promise<boolean> => {
  const { eftRows, rankings } = context
  const { kept, rows } = eftFiles(context)
  const all = await iftRecords(context)
  for (let i = 0; i < (eftRows?.length ?? 0); i++) all.push(recordFor('sft', await eftRows!.row(i), {}) as object)
  if (rankings)
    for (const { prompt, completion } of await readLines(kept, keptSchema, context.lines.get('eft') ?? 0))
      all.push({ prompt, completion })
  await keepLines(rows, all)
  return true
}
