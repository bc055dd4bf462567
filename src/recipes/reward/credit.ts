/**
 * Which part of a response earned its reward. Two answers: by token, how the score moves as the response grows (a causal model
 * has the scores of all prefixes in one pass; their differences add up to the score less the prompt's), and by segment,
 * how the score falls when a sentence is left out (all such responses are one packed tree, the prompt passes once).
 */

import type { Model } from '../../passes/model.ts'
import { type Reward, rewardOf, scoresAlong, scoresOf } from '../../passes/scores.ts'

export type Piece = { text: string; reward: number }

export type Credit = Reward & {
  /** The score at the prompt's end, from which the tokens' rewards count; 0 where there is no prompt. */
  before: number
  /** Of each token; with `before` they add up to the reward. */
  tokens: Piece[]
  /** Of each sentence: the reward less that of the response without it. */
  segments: Piece[]
}

/** A response as tokens; `texts` are theirs, joined the response's own text. */
export type CreditReply = {
  ids: readonly number[]
  texts: readonly string[]
  /** 1 where a token ends the text or is a mark of the template: it belongs to no sentence. */
  special: readonly boolean[]
}

/** Which tokens each sentence has (Unicode's rules for sentences, UAX 29), in their order. */
export const sentences = ({ texts, special }: CreditReply): number[][] => {
  const plain = texts.map((text, t) => (special[t] ? '' : text))
  const starts: number[] = []
  for (const { index } of new Intl.Segmenter('en', { granularity: 'sentence' }).segment(plain.join('')))
    starts.push(index)
  const parts = starts.map((): number[] => [])
  let [at, sentence] = [0, 0]
  plain.forEach((text, t) => {
    // A space in front of a word stands with it
    const first = at + (text.length - text.trimStart().length)
    while (sentence + 1 < starts.length && starts[sentence + 1] <= first) sentence++
    if (!special[t]) parts[sentence]?.push(t)
    at += text.length
  })
  return parts.filter((part) => part.length > 0)
}

/** @param prompt ids   @returns of each response its credit, in rewards of the model */
export const creditOf = async (
  model: Model,
  prompt: readonly number[],
  responses: readonly CreditReply[],
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
    credits.push({ ...whole, before, tokens, segments: await leftOut(model, prompt, response, whole.reward) })
  }
  return credits
}

const leftOut = async (
  model: Model,
  prompt: readonly number[],
  response: CreditReply,
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
