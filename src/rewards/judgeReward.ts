/**
 * A judge as a source of rewards: a local model or one behind a server, with the same prompts, cache and parsing as
 * `attune judge`. It grades each completion from 1 to 10, or compares the completions of a prompt, each pair in both orders:
 * then a reward is the share of comparisons won, a tie one half. What has no verdict is a reward that failed.
 */
import { promptText } from '../data/prompts.ts'
import { isUrl } from '../endpoint/open.node.ts'
import { type JudgeCase, type Judgement, openJudge } from '../feedback/judge/judge.ts'
import { badInput } from '../util/fault.ts'
import type { Resources } from '../util/resources.ts'
import { sha256Files } from '../util/sha256.node.ts'
import { readGrade } from './grade.ts'
import { type CompletionToScore, failed, type OpenedReward, type Reward, type RewardContext } from './rewards.ts'

export type JudgeRewardSettings = {
  /** `single` grades, `pairwise` compares the completions of a prompt. */
  judgeMode?: 'single' | 'pairwise'
  /** A prompt instead of attune's own. */
  judgePrompt?: string
  device: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  threads?: number
}

/** What a spec names as a judge: `judge:MODEL`, `judge:URL#MODEL`, or an address alone. */
export const judgeIn = (spec: string): string | undefined =>
  /^judge:(.+)$/s.exec(spec)?.[1] ?? (isUrl(spec) ? spec : undefined)

/**
 * @param spec a model or `URL`, `URL#MODEL`
 * Throws Faults of `openJudge`, and 'reward-tokenizer' where the policy has no tokenizer. A server that serves nobody ends the
 * run, to be resumed.
 */
export const judgeReward = async (
  spec: string,
  { judgeMode = 'single', judgePrompt, device, threads }: JudgeRewardSettings,
  { own, tokenization, sharing }: Pick<RewardContext, 'tokenization' | 'sharing'> & { own: Resources['own'] },
): Promise<OpenedReward> => {
  if (!tokenization.tokenizer)
    throw badInput('reward-tokenizer', 'a judge reads text, and this model has no tokenizer', { flag: '--reward' })
  const judge = own(
    await openJudge(spec, {
      mode: judgeMode,
      promptFile: judgePrompt,
      device,
      threads,
      maxNewTokens: 512,
      readGrade,
      // A server computes for itself
      sharing: isUrl(spec) ? undefined : sharing,
    }),
  )
  const files = [...(judgePrompt === undefined ? [] : await sha256Files([judgePrompt])), ...(await judge.model.files())]
  const judged = async (cases: readonly JudgeCase[]): Promise<Judgement[]> => {
    const judgements: Judgement[] = []
    for await (const judgement of judge.judge(cases)) judgements.push(judgement)
    return judgements
  }
  const caseOf = (id: number, { prompt }: CompletionToScore, ...answers: string[]): JudgeCase => ({
    id,
    question: promptText(tokenization, prompt),
    answers,
  })
  const textOf = ({ sample }: CompletionToScore) => sample.text ?? ''

  /** Shares of comparisons won, over pairs of completions by their numbers; a pair of equal texts is a tie without a request. */
  const shares = async (
    completions: readonly CompletionToScore[],
    pairs: readonly { i: number; j?: number; other: string }[],
  ): Promise<Reward[]> => {
    const isEqual = pairs.map(({ i, other }) => textOf(completions[i]) === other)
    const asked = pairs.map((pair, id) => ({ ...pair, id })).filter((_, id) => !isEqual[id])
    const judgements = await judged(
      asked.map(({ i, other, id }) => caseOf(id, completions[i], textOf(completions[i]), other)),
    )
    const byPair = new Map(judgements.map((judgement) => [judgement.id, judgement]))
    const won = completions.map(() => ({ points: 0, games: 0, trouble: 'it was compared with nothing' }))
    for (const [id, { i, j }] of pairs.entries()) {
      const judgement = byPair.get(id)
      const points = isEqual[id] ? 0.5 : pointsOf(judgement!)
      if (points === undefined) {
        for (const k of [i, j ?? i]) won[k].trouble = judgement!.reason
        continue
      }
      won[i].points += points
      won[i].games++
      if (j === undefined) continue
      won[j].points += 1 - points
      won[j].games++
    }
    return won.map(({ points, games, trouble }) =>
      games ? { value: points / games } : failed(`the judge gave no verdict: ${trouble}`),
    )
  }

  if (judgeMode === 'single')
    return {
      files,
      async score(completions) {
        const judgements = await judged(completions.map((each, id) => caseOf(id, each, textOf(each))))
        return judgements.map(({ scores: [grade], reason, replies }) =>
          grade === undefined
            ? failed(
                `the judge gave no grade from 1 to 10 that can be read for certain: ${replies?.[0] ? JSON.stringify(replies[0].slice(0, 200)) : reason}`,
              )
            : { value: grade },
        )
      },
    }
  return {
    files,
    score: (completions) => shares(completions, pairsOf(completions)),
    scoreAgainst: (completions, others) =>
      shares(
        completions,
        others.map((other, i) => ({ i, other })),
      ),
  }
}

const pointsOf = ({ verdict }: Judgement): number | undefined =>
  ({ A: 1, B: 0, tie: 0.5, error: undefined })[verdict ?? 'error']

/** All pairs of completions of a prompt; those of one prompt stand together. */
const pairsOf = (completions: readonly CompletionToScore[]): { i: number; j: number; other: string }[] => {
  const pairs: { i: number; j: number; other: string }[] = []
  for (let i = 0; i < completions.length; i++)
    for (let j = i + 1; j < completions.length && completions[j].promptIds === completions[i].promptIds; j++)
      pairs.push({ i, j, other: completions[j].sample.text ?? '' })
  return pairs
}
