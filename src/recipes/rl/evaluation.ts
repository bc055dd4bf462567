/** The reward of held-out prompts: one answer to each, drawn as in training by numbers that are the same every time. */
import type { PromptExample } from '../../data/prompts.ts'
import { rewardsOf } from '../../rewards/rewards.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { mean } from '../../statistics/summary.ts'
import type { RlContext } from './context.ts'
import { rolloutMetrics, sampleKls } from './metrics.ts'
import { evaluationSeed, rollOut } from './rollout.ts'
import { sampleStats } from './sampleStats.ts'

/** `eval_reward` and the like; `eval_kl` is the mean of sum_t (log pi - log ref), where there is a reference. */
export async function* evaluatePolicy(rl: RlContext): AsyncGenerator<ProgressEvent, Record<string, number>> {
  const { settings, tokenization, scheduler, rewards, reference, policy, signal } = rl
  const prompts = await heldPrompts(rl)
  const seed = evaluationSeed(settings.seed)
  const rolling = { scheduler, tokenization, settings: { ...settings, numGenerations: 1 }, seed, signal }
  const rollout = yield* rollOut(rolling, prompts)
  const scored = rollout && (yield* rewardsOf(rewards, rollout, { signal }))
  if (!rollout || !scored) return {}
  const { temperature } = settings
  const logps = async (model: typeof policy.model) =>
    (await sampleStats(model, rollout, ['logps'], { temperature })).logps
  const kl = reference && mean(sampleKls(await logps({ ...policy.model, dropout: 0 }), await logps(reference)))
  const measures = { ...rolloutMetrics(rollout, scored), ...(kl !== undefined && { kl }) }
  return Object.fromEntries(Object.entries(measures).map(([name, value]) => [`eval_${name}`, value]))
}

const heldPrompts = async ({ evalPrompts }: RlContext): Promise<PromptExample[]> => {
  const all: PromptExample[] = []
  for (let position = 0; ; ) {
    const { examples, position: next } = await evalPrompts!.take(position, 256)
    all.push(...examples)
    if (next === position) return all
    position = next
  }
}
