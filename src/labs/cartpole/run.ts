/**
 * One run: a method trained with one seed, and its best weights. The best weights are chosen on episodes that neither training
 * nor the final evaluation uses, so that the choice does not flatter the result. Everything in a run but its seconds depends
 * on its settings alone.
 */
import { mean as meanOf } from '../../statistics/summary.ts'
import { makeEnvs, maxEpisodeSteps } from './env.ts'
import type { Network } from './network.ts'
import { notebookPpo } from './notebookPpo.ts'
import { uniforms } from './policy.ts'
import { ppo } from './ppo.ts'
import { makeEpisodes, playEpisodes, reinforce } from './reinforce.ts'
import { episodesPerBatch, type Method, type RunSettings } from './settings.ts'
import type { Training } from './training.ts'

export type RunResult = {
  method: Method
  seed: number
  /** Steps of each episode of training, in the order in which they ended. */
  lengths: number[]
  /** All steps of training made when each of them ended. */
  ends: number[]
  best: {
    episode: number
    step: number
    weights: number[]
    /** Of 100 fresh episodes. */
    lengths: number[]
    mean: number
  }
  /** After how many episodes the mean of the last 100, in training, was 475. */
  solved?: number
  /** Steps of training, and how long they took without evaluations. */
  steps: number
  seconds: number
}

/** The policy at a moment of training. */
export type Snapshot = { method: Method; seed: number; episode: number; mean: number; weights: number[] }

type Observe = { progress?(share: number): void; snapshot?(snapshot: Snapshot): void }

/** A policy is first evaluated on so few episodes, and only with such a mean on more. */
const screeningEpisodes = 20
const screeningThreshold = 400
/** Episodes of all other evaluations. */
const evalEpisodes = 100
/** CartPole-v1 counts as solved with this mean length over 100 episodes. */
export const solvedAt = 475

/** How often a run's policy is evaluated, about. */
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
      return notebookPpo({ seed, episodes, ...faultsOf[method] })
  }
}

const faultsOf = {
  'ppo-resampled': { resampled: true, crossed: true },
  'ppo-resampled-only': { resampled: true, crossed: false },
  'ppo-crossed-only': { resampled: false, crossed: true },
  'ppo-mended': { resampled: false, crossed: false },
}

/**
 * Trains, and keeps the best weights. `observe` is told of the share of the work that is done, and of the policy at the
 * beginning and whenever it got better.
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
    // Twenty episodes tell a good policy from a bad one, not from a perfect one
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
 * Plays whole episodes from first states that training never had, with actions sampled as in training.
 * @param round  another round has other episodes
 * @returns the lengths of the episodes
 */
const evaluate = (policy: Network, seed: number, round: number, count: number): number[] => {
  const episodes = makeEpisodes(count)
  const evalSeed = seed + 2 ** 32 * (round + 1)
  playEpisodes(policy, makeEnvs(count, evalSeed), uniforms({ seed: evalSeed, stream: 2 }), episodes)
  return [...episodes.lengths]
}

/** After how many episodes the last 100 first had a mean of 475; undefined if never. */
export const firstSolved = (lengths: readonly number[]): number | undefined => {
  let sum = 0
  for (const [i, length] of lengths.entries()) {
    sum += length - (lengths[i - evalEpisodes] ?? 0)
    if (i + 1 >= evalEpisodes && sum >= solvedAt * evalEpisodes) return i + 1
  }
  return undefined
}
