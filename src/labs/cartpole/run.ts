/**
 * One training run: a method trained with one seed, and its best weights. They are chosen on episodes that neither training
 * nor the final evaluation uses, so that the choice does not flatter the result. Apart from `seconds`, a result depends on
 * method, seed and settings alone.
 */
import { mean as meanOf } from '../../statistics/summary.ts'
import { makeEnvs, maxEpisodeSteps } from './env.ts'
import type { Network } from './network.ts'
import { uniforms } from './policy.ts'
import { ppo } from './ppo.ts'
import { makeEpisodes, playEpisodes, reinforce } from './reinforce.ts'
import { episodesPerBatch, type Method, type RunSettings } from './settings.ts'
import type { Training } from './training.ts'
import { tutorialPpo } from './tutorialPpo.ts'

export type RunResult = {
  method: Method
  seed: number
  /** [training episodes] the length of each in steps, in the order in which they ended. */
  lengths: number[]
  /** [training episodes] the number of training steps at the end of the update in which each episode ended. */
  ends: number[]
  best: {
    /** Training episodes and training steps after which the policy had these weights. */
    episode: number
    step: number
    weights: number[]
    /** Lengths of 100 fresh episodes, and their mean. */
    lengths: number[]
    mean: number
  }
  /** After how many training episodes the mean length of the last 100 first reached 475; undefined if it never did. */
  solved?: number
  /** Training steps. */
  steps: number
  /** How long training took, without the evaluations. */
  seconds: number
}

/** The policy at a moment of training, with its mean length in the evaluation at that moment. */
export type Snapshot = { method: Method; seed: number; episode: number; mean: number; weights: number[] }

type Observe = { progress?(share: number): void; snapshot?(snapshot: Snapshot): void }

/** An evaluation begins with few episodes. Only a policy that reaches this mean length on them is evaluated on more. */
const screeningEpisodes = 20
const screeningThreshold = 400
/** Episodes of a full evaluation. */
const evalEpisodes = 100
/** CartPole-v1 counts as solved with this mean length over this many episodes in a row. */
export const solvedAt = 475
const solvedEpisodes = 100

/** How many times a run evaluates its policy, about. */
const evaluations = 100

const trainingOf = (method: Method, seed: number, { episodes, steps, envs }: RunSettings): Training => {
  switch (method) {
    case 'reinforce':
      return reinforce({ seed, envs: 1, episodes })
    case 'reinforce-batch':
      return reinforce({ seed, envs: episodesPerBatch, episodes })
    case 'ppo':
      return ppo({ seed, envs, steps })
    default:
      return tutorialPpo({ seed, episodes, ...faultsOf[method] })
  }
}

const faultsOf = {
  'ppo-resampled': { resampled: true, crossed: true },
  'ppo-resampled-only': { resampled: true, crossed: false },
  'ppo-crossed-only': { resampled: false, crossed: true },
  'ppo-mended': { resampled: false, crossed: false },
}

/**
 * Trains, and keeps the best weights. `observe.progress` gets the share of the training that is done; `observe.snapshot` gets
 * the policy after the first update and whenever an evaluation is better than all before it.
 */
export const trainRun = (method: Method, seed: number, settings: RunSettings, observe: Observe = {}): RunResult => {
  const lengths: number[] = []
  const ends: number[] = []
  let best = { mean: 0, episode: 0, step: 0, weights: new Float64Array() }
  let steps = 0
  let seconds = 0
  let nextEvaluation = 0
  const shareDone = () => (method === 'ppo' ? steps / settings.steps : lengths.length / settings.episodes)
  const considerPolicy = (policy: Network) => {
    if (best.mean === maxEpisodeSteps) return
    const screened = meanOf(evaluate(policy, seed, 0, screeningEpisodes))
    // 20 episodes tell a good policy from a bad one, but not from a perfect one
    const mean = screened < screeningThreshold ? screened : meanOf(evaluate(policy, seed, 1, evalEpisodes))
    if (mean <= best.mean) return
    best = { mean, episode: lengths.length, step: steps, weights: policy.weights.slice() }
    observe.snapshot?.({ method, seed, episode: lengths.length, mean, weights: [...policy.weights] })
  }
  const training = trainingOf(method, seed, settings)
  for (;;) {
    const began = performance.now()
    const { value: update } = training.next()
    seconds += (performance.now() - began) / 1000
    if (!update) break
    for (const length of update.lengths) {
      lengths.push(length)
      ends.push(steps + update.steps)
    }
    steps += update.steps
    if (shareDone() < nextEvaluation) continue
    nextEvaluation = shareDone() + 1 / evaluations
    considerPolicy(update.policy)
    observe.progress?.(Math.min(1, shareDone()))
  }
  const fresh = evaluate({ outputs: 2, weights: best.weights }, seed, 2, evalEpisodes)
  return {
    method,
    seed,
    lengths,
    ends,
    solved: firstSolved(lengths),
    steps,
    seconds,
    best: { ...best, weights: [...best.weights], lengths: fresh, mean: meanOf(fresh) },
  }
}

/**
 * Plays whole episodes with actions sampled as in training, from initial states that training never sees.
 * @param round  which set of initial states: 0 for screening, 1 for the full evaluation, 2 for the final one
 * @returns [count] the lengths of the episodes
 */
const evaluate = (policy: Network, seed: number, round: number, count: number): number[] => {
  const episodes = makeEpisodes(count)
  const evalSeed = seed + 2 ** 32 * (round + 1)
  playEpisodes(policy, makeEnvs(count, evalSeed), uniforms({ seed: evalSeed, stream: 2 }), episodes)
  return [...episodes.lengths]
}

/** After how many episodes the mean length of the last 100 first reached 475; undefined if it never did. */
export const firstSolved = (lengths: readonly number[]): number | undefined => {
  let sum = 0
  for (const [i, length] of lengths.entries()) {
    sum += length - (lengths[i - solvedEpisodes] ?? 0)
    if (i + 1 >= solvedEpisodes && sum >= solvedAt * solvedEpisodes) return i + 1
  }
  return undefined
}
