/** Evaluation of the policy on held-out prompts: the reward of one completion each, sampled as in training. */
import { scoreRollout } from '../../rewards/rewards.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { mean } from '../../statistics/summary.ts'
import type { PromptStream, RlContext } from './context.ts'
import { sampleKls } from './klReward.ts'
import { sampleLogps } from './logps.ts'
import { rolloutMetrics } from './metrics.ts'
import { evaluationSeed, rollOut } from './rollout.ts'

/**
 * The metrics of a rollout with `eval_` in front, and `eval_kl`, the mean of sum_t (log pi - log ref) in nats, where there is
 * a reference model. The random numbers are the same in every evaluation. Empty after an abort.
 */
export async function* evaluatePolicy(
  { settings, tokenization, scheduler, rewards, reference, policy, signal }: RlContext,
  evalPrompts: PromptStream,
): AsyncGenerator<ProgressEvent, Record<string, number>> {
  const { examples: prompts } = await evalPrompts.take(0, evalPrompts.length)
  const sampling = { ...settings, numGenerations: 1 }
  const seed = evaluationSeed(settings.seed)
  const rollout = yield* rollOut({ scheduler, tokenization, settings: sampling, seed, signal }, prompts)
  const scored = rollout && (yield* scoreRollout(rewards, rollout, { signal }))
  if (!rollout || !scored) return {}
  const metrics = rolloutMetrics(rollout, scored)
  if (reference) {
    const logps = await sampleLogps({ ...policy.model, dropout: 0 }, rollout, settings.temperature)
    const refLogps = await sampleLogps(reference, rollout, settings.temperature)
    metrics.kl = mean(sampleKls(logps, refLogps))
  }
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval_${name}`, value]))
}
