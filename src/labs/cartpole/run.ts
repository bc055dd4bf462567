/**
 * One method with one seed: training, and the weights that were best. Peculiar: candidates are weighed on episodes that
 * neither training nor the last count uses, so that the count is not flattered by the choice. A run depends on its
 * settings alone; only its seconds differ.
 */
import { mean as meanOf } from '../../statistics/summary.ts'
import { evaluate } from './evaluate.ts'
import type { Network } from './network.ts'
import { notebookPpo } from './notebookPpo.ts'
import { mostSteps } from './physics.ts'
import { ppo } from './ppo.ts'
import { reinforce } from './reinforce.ts'
import { episodesABatch, type Method, type RunSettings } from './settings.ts'
import type { Training } from './training.ts'

export type RunResult = {
  method: Method
  seed: number
  /** Steps of each episode, in the order in which they ended, and all steps made by then. */
  lengths: number[]
  ends: number[]
  best: { episode: number; step: number; weights: number[] /** 100 fresh episodes. */; lengths: number[]; mean: number }
  /** After how many episodes the mean of the last 100, in training, was 475. */
  solved?: number
  /** Steps of training, and how long they took without evaluations. */
  steps: number
  seconds: number
}

/** The policy on its way. */
export type Snapshot = { method: Method; seed: number; episode: number; mean: number; weights: number[] }

type Observe = { progress?(share: number): void; snapshot?(snapshot: Snapshot): void }

/** Episodes of a first weighing, the mean from which there is a second, and episodes of that and of the last count. */
const weighed = 20
const promising = 400
const counted = 100
export const solvedAt = 475

/** Candidates of a run, about. */
const candidates = 100

const trainingOf = (method: Method, seed: number, { episodes, steps, envs }: RunSettings): Training => {
  switch (method) {
    case 'reinforce':
      return reinforce({ seed, envs: 1, episodes })
    case 'reinforce-batch':
      return reinforce({ seed, envs: episodesABatch, episodes })
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

/** Trains, and keeps the best weights; tells of the share done, and of the policy at the beginning and wherever it got better. */
export const trainRun = (method: Method, seed: number, settings: RunSettings, observe: Observe = {}): RunResult => {
  const [lengths, ends]: number[][] = [[], []]
  let best = { mean: 0, episode: 0, step: 0, weights: new Float64Array() }
  let [step, seconds, next] = [0, 0, 0]
  const share = () => (method === 'ppo' ? step / settings.steps : lengths.length / settings.episodes)
  const weigh = (policy: Network) => {
    if (best.mean === mostSteps) return
    const first = meanOf(evaluate(policy, seed, 0, weighed))
    // Twenty episodes tell a good policy from a bad one, not from a perfect one
    const mean = first < promising ? first : meanOf(evaluate(policy, seed, 1, counted))
    if (mean <= best.mean) return
    best = { mean, episode: lengths.length, step, weights: policy.weights.slice() }
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
      ends.push(step + update.steps)
    }
    step += update.steps
    if (share() < next) continue
    next = share() + 1 / candidates
    weigh(update.policy)
    observe.progress?.(Math.min(1, share()))
  }
  const fresh = evaluate({ outputs: 2, weights: best.weights }, seed, 2, counted)
  return {
    ...{ method, seed, lengths, ends, solved: firstSolved(lengths), steps: step, seconds },
    best: { ...best, weights: [...best.weights], lengths: fresh, mean: meanOf(fresh) },
  }
}

/** The first episode at whose end the last 100 had a mean of 475. */
export const firstSolved = (lengths: readonly number[]): number | undefined => {
  let sum = 0
  for (const [i, length] of lengths.entries()) {
    sum += length - (lengths[i - counted] ?? 0)
    if (i + 1 >= counted && sum >= solvedAt * counted) return i + 1
  }
  return undefined
}
