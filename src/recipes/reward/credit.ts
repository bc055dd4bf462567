/**
 * Credit assignment by a reward model: which part of a response earned its reward. By token: how the score changes as the
 * response grows (a causal model gives the scores of all prefixes in one pass, and their differences add up to the score less
 * that of the prompt). By sentence: how much the score falls when the sentence is left out (all such responses are packed into
 * one tree, so that the prompt passes once).
 */

import type { Model } from '../../passes/model.ts'
import { type Reward, rewardOf, scoresAlong, scoresOf } from '../../passes/scores.ts'

/** A token or a sentence, and the part of the reward that it earned. */
export type Piece = { text: string; reward: number }

export type Credit = Reward & {
  /** The score at the end of the prompt; 0 where there is no prompt. */
  before: number
  /** With `before` they add up to the reward. */
  tokens: Piece[]
  /** Of each sentence: the reward less that of the response without it. */
  segments: Piece[]
}

/** A response as tokens. `texts` are those of the tokens; joined they are the text of the response. */
export type CreditResponse = {
  ids: readonly number[]
  texts: readonly string[]
  /** True where a token ends the text or is a mark of the chat template: it belongs to no sentence. */
  special: readonly boolean[]
}

/** The indices of each sentence's tokens, by Unicode's rules for sentences (UAX 29). */
export const sentences = ({ texts, special }: CreditResponse): number[][] => {
  const plain = texts.map((text, t) => (special[t] ? '' : text))
  const starts: number[] = []
  for (const { index } of new Intl.Segmenter('en', { granularity: 'sentence' }).segment(plain.join('')))
    starts.push(index)
  const parts = starts.map((): number[] => [])
  let [at, sentence] = [0, 0]
  plain.forEach((text, t) => {
    // A token's leading spaces belong to its word
    const first = at + (text.length - text.trimStart().length)
    while (sentence + 1 < starts.length && starts[sentence + 1] <= first) sentence++
    if (!special[t]) parts[sentence]?.push(t)
    at += text.length
  })
  return parts.filter((part) => part.length > 0)
}

/** @param prompt token ids   @returns the credit of each response, in units of the model's reward */
export const creditOf = async (
  model: Model,
  prompt: readonly number[],
  responses: readonly CreditResponse[],
): Promise<Credit[]> => {
  const [along] = await scoresAlong(model, [{ trunk: prompt, branches: responses.map(({ ids }) => ids) }])
  const empty = prompt.length ? await scoresOf(model, [{ trunk: prompt, branches: [[]] }]) : undefined
  const before = empty ? rewardOf(empty[0][0]).reward : 0
  const credits: Credit[] = []
  for (const [k, response] of responses.entries()) {
    const rewards = along[k].map((scores) => rewardOf(scores).reward)
    const whole = rewardOf(along[k].at(-1)!)
    const tokens = rewards.map((reward, t) => ({
      text: response.texts[t],
      reward: reward - (rewards[t - 1] ?? before),
    }))
    credits.push({ ...whole, before, tokens, segments: await segmentCredit(model, prompt, response, whole.reward) })
  }
  return credits
}

/** The reward of the whole response less that of the response without the sentence. */
const segmentCredit = async (
  model: Model,
  prompt: readonly number[],
  response: CreditResponse,
  whole: number,
): Promise<Piece[]> => {
  const parts = sentences(response)
  const without = parts.map((part) => {
    const gone = new Set(part)
    return response.ids.filter((_, t) => !gone.has(t))
  })
  // Without a prompt, nothing would be left to score
  const scored = without.map((ids) => ids.length + prompt.length > 0)
  const branches = without.filter((_, i) => scored[i])
  const scores = branches.length ? (await scoresOf(model, [{ trunk: prompt, branches }]))[0] : []
  const rewards = scores.map((each) => rewardOf(each).reward)
  return parts.map((part, i) => ({
    text: part.map((t) => response.texts[t]).join(''),
    reward: whole - (scored[i] ? rewards.shift()! : 0),
  }))
}
