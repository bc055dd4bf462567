/**
 * A reward model as a reward. Peculiar: with the policy's own tokenizer it reads the very ids that were sampled, so that
 * an answer which was cut off looks cut off; conversations, and texts of another tokenizer, are read as it was trained to
 * read them. More than one output is a distribution over the scores 1, 2, ...: its mean, and how wide it is.
 */

import { filesOf } from '../checkpoint/folder.node.ts'
import type { Tree } from '../data/batch.ts'
import { type Encoder, encodeScored } from '../data/examples.ts'
import { isIds, isMessages } from '../data/rows.ts'
import { readBy } from '../generate/tokenization.node.ts'
import { openModel } from '../passes/open.node.ts'
import { rewardOf, scoresOf } from '../passes/scores.ts'
import type { WarningEvent } from '../runs/events.ts'
import { sameTokenizer } from '../text/tokenizer.node.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { sha256Files } from '../util/sha256.node.ts'
import { readRewardNotes } from './notes.ts'
import type { OpenedReward, RewardContext } from './open.ts'
import { type CompletionToScore, failed, type Reward } from './rewards.ts'

export type ModelRewardSettings = {
  device: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  threads?: number
  /** By the mean and deviation that were saved with the model. */
  normalizeRewards?: boolean
}

/** Throws Faults of `openModel`, and where the model has no score head or shares neither text nor ids with the policy. */
export const modelReward = async (
  name: string,
  settings: ModelRewardSettings,
  { own, tokenization, folders }: RewardContext,
): Promise<OpenedReward> => {
  // Adapter and rounding among the settings are the policy's
  const { device, threads } = settings
  const opened = own(await openModel({ device, threads, model: name, head: 'scores' }))
  const adapter = opened.adapterDir
  const scale = await scaleOf(name, adapter ?? opened.dir, settings.normalizeRewards ?? false)
  const { tokenizer } = opened
  if ((tokenizer === undefined) !== (tokenization.tokenizer === undefined))
    throw badInput(
      'reward-tokenizer',
      `${quoted(name)}: one of policy and reward model has a tokenizer and the other has none, so they share neither text nor ids`,
      { flag: '--reward' },
    )
  const shared = tokenizer === undefined || (await sameTokenizer({ dir: opened.dir, adapter }, folders)) === true
  const most = opened.model.config.max_position_embeddings
  const encode = (answer: CompletionToScore) =>
    shared ? treeOf(answer, tokenizer, most) : treeOf(asTexts(answer, tokenization), tokenizer, most, true)
  return {
    files: await sha256Files(await filesOf({ dir: opened.dir, adapter }, opened.files)),
    warnings: shared ? [] : [retokenised(name)],
    requirePrompt: ({ ids, ...asked }) =>
      readBy(name, () => {
        const tree = encode({ ...asked, promptIds: ids, sample: anyAnswer })
        const size = opened.model.config.vocab_size
        const stray = strayIn([tree], size)
        if (stray !== undefined)
          throw badInput('reward-tokenizer', `it has ${size} token ids, and the prompt holds ${stray}`)
      }),
    of: (answers) => {
      const trees = answers.map(encode)
      requireKnownIds(name, trees, opened.model.config.vocab_size)
      return rewardsByModel(opened.model, trees, scale)
    },
  }
}

/** Stands for all answers where a prompt is tried. */
const anyAnswer: CompletionToScore['sample'] = {
  prompt: 0,
  sample: 0,
  ids: [0],
  logps: [],
  text: '-',
  finish_reason: 'stop',
}

const strayIn = (trees: readonly (Tree | undefined)[], size: number): number | undefined =>
  trees
    .flatMap((tree) => (tree ? [tree.trunk, ...tree.branches] : []))
    .flatMap((ids) => Array.from(ids))
    .find((id) => id >= size)

/** Without tokenizers ids must mean the same. */
const requireKnownIds = (name: string, trees: readonly (Tree | undefined)[], size: number) => {
  const stray = strayIn(trees, size)
  if (stray !== undefined)
    throw badInput('reward-tokenizer', `${quoted(name)} has ${size} token ids, and an answer holds ${stray}`, {
      flag: '--reward',
    })
}

type Scale = { bias: number; mean: number; std: number }

const scaleOf = async (name: string, dir: string, normalise: boolean): Promise<Scale> => {
  const notes = await readRewardNotes(dir)
  if (normalise && !notes)
    throw badInput('bad-flag', `${quoted(name)} was saved without a mean and a deviation of its rewards`, {
      flag: '--normalize-rewards',
    })
  return { bias: notes?.bias ?? 0, ...(normalise ? { mean: notes!.mean, std: notes!.std } : { mean: 0, std: 1 }) }
}

const retokenised = (name: string): WarningEvent => ({
  event: 'warning',
  code: 'retokenised',
  message: `${name} has a tokenizer of its own: answers are read to it as text`,
})

/** Ids of the policy's tokenizer mean nothing to another one. */
const asTexts = (answer: CompletionToScore, { tokenizer }: RewardContext['tokenization']): CompletionToScore =>
  isIds(answer.prompt) ? { ...answer, prompt: tokenizer!.decode(answer.prompt, { skipSpecialTokens: true }) } : answer

/**
 * Prompt and answer as the reward model reads them; undefined where there is no room for an answer.
 * @param anew its tokenizer is not the policy's, so that all is read as text
 */
const treeOf = (
  { prompt, template, promptIds, sample }: CompletionToScore,
  encoder: Encoder | undefined,
  most: number,
  anew = false,
): Tree | undefined => {
  const plain = !encoder || !(anew || isMessages(prompt))
  const read = plain
    ? { prompt: [...promptIds], responses: [sample.ids] }
    : encodeScored(encoder, prompt, [sample.text ?? ''], template)
  const {
    prompt: trunk,
    responses: [response],
  } = read
  const room = most - trunk.length
  return room > 0 && response.length > 0 ? { trunk, branches: [response.slice(0, room)] } : undefined
}

const rewardsByModel = async (
  model: Parameters<typeof scoresOf>[0],
  trees: readonly (Tree | undefined)[],
  { bias, mean, std }: Scale,
): Promise<Reward[]> => {
  const there = trees.filter((tree) => tree !== undefined)
  const scores = there.length ? await scoresOf(model, there) : []
  let next = 0
  return trees.map((tree) => {
    if (!tree) return failed('the prompt leaves the reward model no room for an answer')
    const [logits] = scores[next++]
    const { reward, sigma } = rewardOf(logits)
    if (sigma === undefined) return { value: (reward + bias - mean) / std }
    return { value: (reward - mean) / std, sigma: sigma / std }
  })
}
