/** A judge as a source of rewards: a model behind a server, asked for a grade from 1 to 10. Without a grade the reward failed. */
import { promptText } from '../data/prompts.ts'
import { type RemotePrompt, remoteCompletions } from '../endpoint/completions.ts'
import { openEndpoint } from '../endpoint/open.node.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { readGrade } from './grade.ts'
import { type CompletionToScore, failed, type OpenedReward, type Reward, type RewardContext } from './rewards.ts'

const instruction =
  'You grade answers of an assistant. Judge whether the answer is helpful, correct and clear; its length is no merit. ' +
  'Reply with a single whole number from 1 (useless) to 10 (excellent) and nothing else.'

const gradingPrompt = ({ prompt, sample }: CompletionToScore): RemotePrompt => ({
  messages: [
    { role: 'system', content: instruction },
    { role: 'user', content: `[Question]\n${promptText({}, prompt)}\n\n[Answer]\n${sample.text}\n\n[Grade]` },
  ],
})

/**
 * @param spec `URL` or `URL#MODEL`
 * Throws Faults of `openEndpoint`, and 'reward-tokenizer' where the policy has no tokenizer. A server that fails ends the
 * run, to be resumed.
 */
export const judgeReward = async (
  spec: string,
  { tokenization }: Pick<RewardContext, 'tokenization'>,
): Promise<OpenedReward> => {
  if (!tokenization.tokenizer)
    throw badInput('reward-tokenizer', 'a server reads text, and this model has no tokenizer', { flag: '--reward' })
  const hash = spec.indexOf('#')
  const [url, model] = hash < 0 ? [spec] : [spec.slice(0, hash), spec.slice(hash + 1)]
  const endpoint = await openEndpoint({ url, model })
  return {
    async score(completions) {
      const rewards: Reward[] = []
      const settings = { maxNewTokens: 16, temperature: 0 }
      for await (const { row, text } of remoteCompletions(endpoint, completions.map(gradingPrompt), settings))
        rewards[row] = gradeOf(text)
      return rewards
    },
  }
}

const gradeOf = (text: string): Reward => {
  const grade = readGrade(text)
  return grade === undefined
    ? failed(`the judge gave no grade from 1 to 10 that can be read for certain: ${quoted(text)}`)
    : { value: grade }
}
