/**
 * Prints bias and standard deviation of REINFORCE's gradient with a moving baseline and with RLOO's leave-one-out baseline.
 * `node docs/baselines.mjs`, after `npm run build`. The task is a bandit whose gradient is known. Prompts have different mean
 * rewards, which RLOO's baseline takes into account and a moving average does not. All methods get the same number of samples.
 */
import { baselineAdvantages, leaveOneOut } from '../dist/objectives/advantages.js'
import { initialBaseline, updateBaseline } from '../dist/objectives/baselines.js'
import { rng } from '../dist/util/rng.js'

const [samples, steps] = [64, 4000]
/** The policy chooses yes with p = 1/2. Yes gives 1 more reward than no, and rewards have noise of standard deviation 1. */
const [p, gain, noise] = [0.5, 1, 1]
const truth = p * (1 - p) * gain

/** Samples one step, k samples per prompt. @returns rewards by prompt, and the score d log pi / d logit of each sample */
const batch = (random, at, k, spread) => {
  const groups = Array.from({ length: samples / k }, (_, g) => {
    const worth = spread * random.normal(at + g)
    return Array.from({ length: k }, (_, i) => {
      const n = at + 1000 + g * k + i
      const yes = random.uniform(n) < p
      return { reward: worth + (yes ? gain : 0) + noise * random.normal(n + 500), score: (yes ? 1 : 0) - p }
    })
  })
  return {
    rewards: groups.map((group) => group.map(({ reward }) => reward)),
    scores: groups.flat().map(({ score }) => score),
  }
}

const estimates = (k, spread, advantagesOf) => {
  const random = rng(1, k)
  return Array.from({ length: steps }, (_, step) => {
    const { rewards, scores } = batch(random, step * 10_000, k, spread)
    const advantages = advantagesOf(rewards)
    return scores.reduce((sum, score, i) => sum + score * advantages[i], 0) / scores.length
  })
}

const moving = () => {
  let state = initialBaseline
  return (rewards) => {
    const advantages = baselineAdvantages(rewards.flat(), state.value)
    state = updateBaseline(state, rewards.flat(), { kind: 'mean', momentum: 0, window: 1 })
    return advantages
  }
}

const methods = () => [
  ['none', 1, (rewards) => rewards.flat()],
  ['moving mean', 1, moving()],
  ['RLOO, k = 2', 2, (rewards) => leaveOneOut(rewards).flat()],
  ['RLOO, k = 4', 4, (rewards) => leaveOneOut(rewards).flat()],
  ['RLOO, k = 8', 8, (rewards) => leaveOneOut(rewards).flat()],
]

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length
const spreadOf = (values) => Math.sqrt(mean(values.map((x) => (x - mean(values)) ** 2)))

console.log(`true gradient ${truth}; ${samples} samples a step, ${steps} steps`)
console.log('spread of prompts  baseline      prompts  bias ± standard error  deviation')
for (const spread of [0, 1, 3])
  for (const [name, k, advantagesOf] of methods()) {
    const values = estimates(k, spread, advantagesOf)
    const [bias, deviation] = [mean(values) - truth, spreadOf(values)]
    const sure = deviation / Math.sqrt(steps)
    console.log(
      [
        `${spread}`.padEnd(17),
        name.padEnd(12),
        `${samples / k}`.padStart(7),
        `${bias.toFixed(4)} ± ${sure.toFixed(4)}`.padStart(21),
        deviation.toFixed(4).padStart(9),
      ].join('  '),
    )
  }
