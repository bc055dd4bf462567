/**
 * A pair ranker as a source of rewards: a completion's reward is how much better it is than the other samples of its prompt, the
 * mean over all of them of both orders' scores. So a prompt needs two samples or more, and rewards of different prompts tell nothing
 * of each other.
 */
import { filesOf } from '../checkpoint/folder.node.ts'
import { type Candidates, pairTexts } from '../data/pairText.ts'
import { isIds, type Text } from '../data/rows.ts'
import { shareModel } from '../generate/sharedModel.node.ts'
import { readBy } from '../generate/tokenization.node.ts'
import { loadPretrained } from '../models/load.node.ts'
import { resolveModel } from '../models/resolve.node.ts'
import { meanAdvantages } from '../objectives/pairRanking.ts'
import type { OpenedModel } from '../passes/open.node.ts'
import { openRanker } from '../passes/openRanker.node.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { sha256Files } from '../util/sha256.node.ts'
import type { ModelRewardSettings } from './modelReward.ts'
import { type CompletionToScore, failed, type OpenedReward, type Reward, type RewardContext } from './rewards.ts'

/** Whether a model is a pair ranker. Faults: those of opening it. */
export const isPairRanker = async (name: string): Promise<boolean> => {
  const { architecture } = await loadPretrained((await resolveModel({ model: name })).dir)
  return architecture.pairs !== undefined
}

/**
 * Throws Faults of `openRanker`; 'reward-tokenizer' where one of ranker and policy has a tokenizer and the other has none; 'bad-flag'
 * for --normalize-rewards, since only differences within a prompt mean something.
 */
export const pairReward = async (
  name: string,
  { device, threads, normalizeRewards = false }: ModelRewardSettings,
  { own, tokenization, sharing }: RewardContext,
): Promise<OpenedReward> => {
  if (normalizeRewards)
    throw badInput('bad-flag', `${quoted(name)} is a pair ranker, whose rewards have no scale of their own`, {
      flag: '--normalize-rewards',
    })
  const share =
    sharing &&
    ((opened: OpenedModel) => shareModel(opened, { quantize: 'none', compute: 'fp32', head: 'pairs' }, sharing).model)
  const ranker = own(await openRanker({ device, threads, model: name, share }))
  const { tokenizer } = tokenization
  if ((tokenizer === undefined) !== (ranker.tokenizer === undefined))
    throw badInput(
      'reward-tokenizer',
      `${quoted(name)}: one of policy and pair ranker has a tokenizer and the other has none, so they share neither text nor ids`,
      { flag: '--reward' },
    )
  /** Ids of the policy mean nothing to the ranker where it reads text. */
  const asText = (prompt: Text) =>
    tokenizer && isIds(prompt) ? tokenizer.decode(prompt, { skipSpecialTokens: true }) : prompt
  const textsOf = (group: readonly CompletionToScore[]): Candidates =>
    pairTexts(
      asText(group[0].prompt),
      group.map(({ sample }) => (tokenizer ? (sample.text ?? '') : sample.ids)),
    )
  return {
    files: await sha256Files(await filesOf({ dir: ranker.dir }, ranker.files)),
    requirePrompt: ({ prompt }) =>
      readBy(name, () => ranker.check(pairTexts(asText(prompt), tokenizer ? ['-', '-'] : [[0], [0]]))),
    async score(completions) {
      const groups = byPrompt(completions)
      const several = groups.filter((group) => group.length > 1)
      const logits = await ranker.logits(several.map(textsOf))
      const rewards = new Map<CompletionToScore, Reward>()
      for (const [g, group] of several.entries())
        for (const [k, value] of meanAdvantages(logits[g]).entries()) rewards.set(group[k], { value })
      return completions.map(
        (completion) =>
          rewards.get(completion) ?? failed('a pair ranker compares samples of one prompt, and there is one'),
      )
    },
  }
}

/** Completions of one prompt stand together. */
const byPrompt = (completions: readonly CompletionToScore[]): CompletionToScore[][] => {
  const groups: CompletionToScore[][] = []
  for (const completion of completions) {
    const last = groups.at(-1)
    if (last && last[0].sample.prompt === completion.sample.prompt) last.push(completion)
    else groups.push([completion])
  }
  return groups
}
