/**
 * Who scores answers: a model that writes a judgement (the policy itself, another model, a server), a reward model, or a pair
 * ranker. A judge that writes is asked several times for each answer.
 */
import { z } from 'zod'
import { withoutTurn } from '../../data/chatRows.ts'
import { rankedExample } from '../../data/examples.ts'
import { promptText } from '../../data/prompts.ts'
import type { Text } from '../../data/rows.ts'
import { additiveJudgePrompt, additiveScore } from '../../feedback/selfReward/additiveJudge.ts'
import { meanScore } from '../../feedback/selfReward/pairs.ts'
import type { TextModel } from '../../feedback/textModel/textModel.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { CompletionToScore, OpenedReward, Reward } from '../../rewards/rewards.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import type { LineFile } from '../../store/lines.node.ts'
import { asTurn, completeTexts, groupOf, type TextJob } from './texts.ts'

const scoreLineSchema = z.object({
  /** What a judge wrote. */
  text: z.string().optional(),
  finish_reason: z.string().optional(),
  score: z.number().optional(),
  /** Why there is no score. */
  dropped: z.string().optional(),
})
export type ScoreLine = z.infer<typeof scoreLineSchema>

/** A prompt with the answers to score. */
export type AnswersToScore = { prompt: Text; responses: readonly string[] }

export type Judge = {
  /** Scores of one answer. */
  draws: number
  /** Lines that are written together. */
  group: number
  /** Appends the lines that the file lacks, `draws` of each answer. After an abort some are missing. */
  score(
    answers: readonly AnswersToScore[],
    file: LineFile<ScoreLine>,
    options: { seed: number; signal: AbortSignal },
  ): AsyncGenerator<ProgressEvent>
}

/** The answers with their prompts, one after the other. */
const flat = (answers: readonly AnswersToScore[]) =>
  answers.flatMap(({ prompt, responses }) => responses.map((response) => ({ prompt, response })))

/** A judge that writes its reasons and a score of 0 to 5. */
export const textJudge = (
  model: TextModel,
  { draws, template, sampling }: { draws: number; template: string; sampling: TextJob['settings'] },
): Judge => {
  const group = groupOf(draws, sampling.maxNewTokens)
  return {
    draws,
    group,
    async *score(answers, file, { seed, signal }) {
      const all = flat(answers)
      const asked = (i: number) => {
        const { prompt, response } = all[i]
        if (response.trim() === '') return { dropped: 'empty-response' }
        return asTurn(model, judgeText(template, prompt, response))
      }
      const job = { length: all.length, asked, samples: draws, settings: { ...sampling, seed }, signal }
      yield* completeTexts(model, job, file)
    },
  }
}

/** What a judge is asked. */
export const judgeText = (template: string, prompt: Text, response: string): string =>
  additiveJudgePrompt(template, promptText({}, withoutTurn(prompt)), response)

/** A reward model or a pair ranker as a judge: one score for each answer. Answers to a prompt are scored together. */
export const rewardJudge = (reward: Pick<OpenedReward, 'score'>, tokenization: Tokenization): Judge => ({
  draws: 1,
  group: 1,
  async *score(answers, file, { signal }) {
    const total = answers.reduce((n, { responses }) => n + responses.length, 0)
    let start = 0
    for (let from = 0; from < answers.length && !signal.aborted; ) {
      let count = 0
      let to = from
      while (to < answers.length && count < scoredAtOnce) count += answers[to++].responses.length
      if (start + count > file.length) {
        const toScore = answers
          .slice(from, to)
          .flatMap(({ prompt, responses }, n) =>
            responses.map((response) => completionToScore(tokenization, prompt, response, from + n)),
          )
        const scored = await reward.score(toScore)
        // A killed process may have written some of them
        await file.append(scored.map(rewardLine).slice(file.length - start))
        yield { event: 'progress', phase: 'reward', done: file.length, total }
      }
      start += count
      from = to
    }
  },
})

/** Answers that are scored together, at least, with the others of their prompts. */
const scoredAtOnce = 64

const rewardLine = ({ value, trouble }: Reward): ScoreLine =>
  Number.isFinite(value) ? { score: value } : { dropped: trouble ?? 'no-score' }

const completionToScore = (
  { encoder }: Tokenization,
  prompt: Text,
  response: string,
  number: number,
): CompletionToScore => {
  const limits = { maxLength: Number.POSITIVE_INFINITY }
  const row = { kind: 'ranking' as const, prompt, responses: [response], ranks: [1] }
  const example = rankedExample(encoder, row, limits, () => {})
  const { prompt: promptIds, responses } = typeof example === 'string' ? { prompt: [], responses: [[]] } : example
  const sample = {
    prompt: number,
    sample: 0,
    ids: responses[0],
    logps: [],
    text: response,
    finish_reason: 'stop' as const,
  }
  return { prompt, promptIds, record: {}, sample }
}

// Scores on the disk

export const openScoreOptions = (
  { draws, group }: Pick<Judge, 'draws' | 'group'>,
  answers: readonly AnswersToScore[],
) => ({
  schema: scoreLineSchema,
  total: draws * answers.reduce((n, { responses }) => n + responses.length, 0),
  group,
})

/** A score of an answer: what was written, and the points in it. */
export type Judgement = { text: string; score?: number; dropped?: string }

/** [prompt][answer][draw], as the complete file has them. */
export const readScores = async (
  file: LineFile<ScoreLine>,
  answers: readonly AnswersToScore[],
  draws: number,
): Promise<Judgement[][][]> => {
  let next = 0
  const read = async (): Promise<Judgement> => {
    const { text, score, dropped, finish_reason } = await file.read(next++)
    if (text === undefined) return { text: '', score, dropped }
    const points = additiveScore(text)
    const why = finish_reason === 'length' ? 'cut-before-score' : 'no-score'
    return { text, score: points, ...(points === undefined && { dropped: why }) }
  }
  const all: Judgement[][][] = []
  for (const { responses } of answers) {
    const ofPrompt: Judgement[][] = []
    for (const _ of responses) {
      const ofAnswer: Judgement[] = []
      for (let d = 0; d < draws; d++) ofAnswer.push(await read())
      ofPrompt.push(ofAnswer)
    }
    all.push(ofPrompt)
  }
  return all
}

/** The mean of each answer's scores. */
export const meansOf = (judged: readonly (readonly Judgement[])[]): (number | undefined)[] =>
  judged.map((draws) => meanScore(draws.map(({ score }) => score)))

/** How many judgements were made, and how many had a score. */
export const parseCounts = (judged: readonly (readonly (readonly Judgement[])[])[]) => {
  const all = judged.flat(2)
  return { judgements: all.length, parsed: all.filter(({ score }) => score !== undefined).length }
}
