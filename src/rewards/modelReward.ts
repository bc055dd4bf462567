/**
 * A reward model, opened by name, and as a source of rewards.
 *
 * With the policy's own tokenizer it reads the very ids that were sampled, so that a completion which was cut off looks cut
 * off. Conversations, and texts of a policy with another tokenizer, are read as it was trained to read them.
 */

import { filesOf } from '../checkpoint/folder.node.ts'
import type { Tree } from '../data/batch.ts'
import { userTurn } from '../data/chatRows.ts'
import { type Encoder, encodeScored } from '../data/examples.ts'
import { isIds, isMessages } from '../data/rows.ts'
import { shareModel } from '../generate/sharedModel.node.ts'
import { readBy } from '../generate/tokenization.node.ts'
import type { Compute } from '../passes/int8.ts'
import { type OpenedModel, type OpenModelOptions, openModel } from '../passes/open.node.ts'
import { rewardsOf, type Reward as Scored } from '../passes/scores.ts'
import type { WarningEvent } from '../runs/events.ts'
import { trainedWithChat } from '../runs/find.node.ts'
import { sameTokenizer } from '../text/tokenizer.node.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { sha256Files } from '../util/sha256.node.ts'
import type { Sharing } from '../util/sharing.ts'
import { type RewardNotes, readRewardNotes, rewardOnScale } from './notes.ts'
import { type CompletionToScore, failed, type OpenedReward, type Reward, type RewardContext } from './rewards.ts'

type RewardModel = OpenedModel & {
  /** Its scale, where it was trained by attune. */
  notes?: RewardNotes
  /** [tree][branch], as transformers has them: without bias, not normalised. */
  rewards(trees: readonly Tree[]): Promise<Scored[][]>
}

/** Throws a Fault 'no-score-head' for a model that is no reward model, and those of `openModel`. */
export const openRewardModel = async ({
  sharing,
  ...options
}: Omit<OpenModelOptions, 'head'> & { sharing?: Sharing }): Promise<RewardModel> => {
  const opened = await openModel({ ...options, head: 'scores' })
  try {
    const notes = await readRewardNotes(opened.adapterDir ?? opened.dir)
    const { quantize = 'none', compute = 'fp32' } = options
    const shared = sharing && shareModel(opened, { quantize, compute, head: 'scores' }, sharing)
    return { ...opened, notes, rewards: (trees) => rewardsOf(shared?.model ?? opened.model, trees) }
  } catch (error) {
    await opened.close()
    throw error
  }
}

export type ModelRewardSettings = {
  device: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  threads?: number
  compute?: Compute
  /** By the mean and deviation that were saved with the model. */
  normalizeRewards?: boolean
}

/**
 * The rewards of a reward model. A head with several outputs is a distribution over the scores 1, 2, ...: its mean, and its
 * deviation as `sigma`.
 * Throws Faults of `openRewardModel`; 'reward-tokenizer' where it shares neither text nor ids with the policy; 'bad-flag'
 * where its rewards are to be normalised and it was saved without their mean and deviation.
 */
export const modelReward = async (
  name: string,
  { device, threads, compute, normalizeRewards: normalize = false }: ModelRewardSettings,
  { own, tokenization, folders, sharing }: RewardContext,
): Promise<OpenedReward> => {
  // The run's other settings of a model (adapter, rounding) are the policy's
  const opened = own(await openRewardModel({ device, threads, compute, model: name, sharing }))
  const { model, tokenizer, dir, adapterDir: adapter, notes } = opened
  if (normalize && !notes)
    throw badInput('bad-flag', `${quoted(name)} was saved without a mean and a deviation of its rewards`, {
      flag: '--normalize-rewards',
    })
  if ((tokenizer === undefined) !== (tokenization.tokenizer === undefined))
    throw badInput(
      'reward-tokenizer',
      `${quoted(name)}: one of policy and reward model has a tokenizer and the other has none, so they share neither text nor ids`,
      { flag: '--reward' },
    )
  const sharesIds = tokenizer === undefined || (await sameTokenizer({ dir, adapter }, folders)) === true
  const { vocab_size: vocabulary, max_position_embeddings: positions } = model.config
  const chats = await trainedWithChat(name)
  const treeOf = (given: CompletionToScore) => {
    const completion = chats ? asChat(given) : given
    return sharesIds
      ? completionTree(completion, tokenizer, positions)
      : completionTree(asText(completion, tokenization), tokenizer, positions, true)
  }
  return {
    files: await sha256Files(await filesOf({ dir, adapter }, opened.files)),
    warnings: sharesIds ? [] : [retokenised(name)],
    requirePrompt: ({ ids, ...prompt }) =>
      readBy(name, () => {
        const stray = strayId([treeOf({ ...prompt, promptIds: ids, sample: anySample })], vocabulary)
        if (stray !== undefined)
          throw badInput('reward-tokenizer', `it has ${vocabulary} token ids, and the prompt holds ${stray}`)
      }),
    async score(completions) {
      const trees = completions.map(treeOf)
      // Without tokenizers ids must mean the same
      const stray = strayId(trees, vocabulary)
      if (stray !== undefined)
        throw badInput(
          'reward-tokenizer',
          `${quoted(name)} has ${vocabulary} token ids, and a completion holds ${stray}`,
          { flag: '--reward' },
        )
      const readable = trees.filter((tree) => tree !== undefined)
      const scored = readable.length ? await opened.rewards(readable) : []
      let next = 0
      return trees.map((tree): Reward => {
        if (!tree) return failed('the prompt leaves the reward model no room for a completion')
        return rewardOnScale(scored[next++][0], notes, { normalize })
      })
    },
  }
}

/** Stands for all completions where a prompt is tried. */
const anySample: CompletionToScore['sample'] = {
  prompt: 0,
  sample: 0,
  ids: [0],
  logps: [],
  text: '-',
  finish_reason: 'stop',
}

/** The first id that is no token of a vocabulary of this size. */
const strayId = (trees: readonly (Tree | undefined)[], size: number): number | undefined =>
  trees
    .flatMap((tree) => (tree ? [tree.trunk, ...tree.branches] : []))
    .flatMap((ids) => Array.from(ids))
    .find((id) => id >= size)

const retokenised = (name: string): WarningEvent => ({
  event: 'warning',
  code: 'retokenised',
  message: `${name} has a tokenizer of its own: it reads completions as text, not as the policy's tokens`,
})

/** A reward model that was trained with --chat reads plain prompts as it did there. */
const asChat = (completion: CompletionToScore): CompletionToScore =>
  typeof completion.prompt === 'string' ? { ...completion, prompt: userTurn(completion.prompt) } : completion

/** Ids of the policy's tokenizer mean nothing to another one. */
const asText = (completion: CompletionToScore, { tokenizer }: RewardContext['tokenization']): CompletionToScore =>
  isIds(completion.prompt)
    ? { ...completion, prompt: tokenizer!.decode(completion.prompt, { skipSpecialTokens: true }) }
    : completion

/**
 * Prompt and completion as the reward model reads them; undefined where its positions leave no room for a completion.
 * @param fromText its tokenizer is not the policy's, so all is read as text
 */
const completionTree = (
  { prompt, template, promptIds, sample }: CompletionToScore,
  encoder: Encoder | undefined,
  positions: number,
  fromText = false,
): Tree | undefined => {
  const isText = encoder && (fromText || isMessages(prompt))
  const {
    prompt: trunk,
    responses: [completion],
  } = isText
    ? encodeScored(encoder, prompt, [sample.text ?? ''], template)
    : { prompt: [...promptIds], responses: [sample.ids] }
  const room = positions - trunk.length
  return room > 0 && completion.length > 0 ? { trunk, branches: [completion.slice(0, room)] } : undefined
}
