import { describe, expect, it } from 'vitest'
import type { Rollout } from '../../generate/completionSampler.ts'
import { expectedBest, indexOfBest, tableOf } from '../bestOfN.ts'
import { diagnose, noDiagnostics, summarizeDiagnostics } from './diagnostics.ts'
import type { ExperienceBatch } from './method.ts'
import { minibatches, promptsOfUpdates, totalUpdates } from './minibatches.ts'

const settings = { batchSize: 2, gradAccum: 1, numIterations: 2, stepsPerGeneration: 2, maxNewTokens: 4, seed: 1 }

/** Sample i of a rollout has i + 1 tokens; token t of it is 10 i + t. */
const batch = (prompts: number, perPrompt: number): ExperienceBatch => {
  const samples = Array.from({ length: prompts * perPrompt }, (_, i) => ({
    prompt: Math.floor(i / perPrompt),
    sample: i % perPrompt,
    finish_reason: 'eos' as const,
    ids: Array.from({ length: i + 1 }, (_, t) => 10 * i + t),
    logps: [],
  }))
  const rollout: Rollout = {
    prompts: Array.from({ length: prompts }, (_, g) => ({ prompt: 'x', ids: Array(1 + g).fill(1), record: {} })),
    samples,
    perPrompt,
  }
  return {
    rollout,
    columns: { advantages: samples.map((_, i) => i), tokenIds: samples.map(({ ids }) => ids) },
    mask: samples.map((_, i) => i !== 1),
    rewards: samples.map(() => 1),
  }
}

describe('the updates on a rollout', () => {
  it('see every prompt once in each pass', () => {
    const updates = promptsOfUpdates(4, settings, 3)
    expect(updates.map((numbers) => numbers.length)).toEqual([2, 2, 2, 2])
    expect([...updates[0], ...updates[1]].sort()).toEqual([0, 1, 2, 3])
    expect(promptsOfUpdates(4, settings, 3)).toEqual(updates)
    expect(promptsOfUpdates(4, { ...settings, stepsPerGeneration: 1, numIterations: 1 }, 3)).toEqual([
      [0, 1],
      [2, 3],
    ])
  })

  it('are fewer on a last rollout with fewer prompts', () => {
    // Rollouts of 4, 4 and 1 prompts, two passes over each: 4, 4 and 2 updates
    expect(totalUpdates(9, settings)).toBe(10)
  })

  it('give each target the values of its own token, and no weight to samples that do not count', () => {
    const [{ packs, arrays }] = minibatches(batch(3, 2), [2, 0], {
      ...settings,
      aggregation: 'grpo',
      tokensAtOnce: 1e9,
    })
    const labels = packs.flatMap(({ targets }) => Array.from(targets.label))
    const sequence = packs.flatMap(({ targets }) => Array.from(targets.sequence))
    expect([...arrays.tokenIds.values]).toEqual(labels)
    expect([...arrays.advantages.values]).toEqual([4, 5, 0, 1])
    expect([...arrays.lengths.values]).toEqual([5, 6, 1, 0])
    const weightOf = (s: number) =>
      Array.from(arrays.weights.values as Float32Array)
        .filter((_, m) => sequence[m] === s)
        .reduce((a, b) => a + b, 0)
    expect([0, 1, 2, 3].map(weightOf).map((x) => x.toFixed(4))).toEqual(['0.2500', '0.2500', '0.2500', '0.0000'])
  })

  it('give tokens the same weights however a batch is split', () => {
    for (const aggregation of ['grpo', 'bnpo', 'dr_grpo', 'dapo', 'sum'] as const) {
      const weights = (tokensAtOnce: number) =>
        minibatches(batch(4, 2), [3, 0, 2, 1], { ...settings, batchSize: 4, aggregation, tokensAtOnce }).map(
          ({ arrays, packs }) => {
            const sequence = packs.flatMap(({ targets }) => Array.from(targets.sequence))
            return Array.from(
              { length: arrays.lengths.values.length },
              (_, s) => arrays.weights.values[sequence.indexOf(s)],
            )
          },
        )
      expect(weights(1)).toHaveLength(4)
      expect(weights(1).flat()).toEqual(weights(1e9).flat())
    }
  })
})

describe('best of N', () => {
  it('is the mean of the best over all sets of n samples', () => {
    expect(expectedBest([3, 1, 2, 5], 1)).toBeCloseTo(2.75)
    expect(expectedBest([3, 1, 2, 5], 2)).toBeCloseTo((3 + 3 + 5 + 2 + 5 + 5) / 6)
    expect(expectedBest([3, 1, 2, 5], 4)).toBe(5)
  })

  it('keeps the sample with the highest reward, whatever its sign', () => {
    expect(indexOfBest([0, -1, -2])).toBe(0)
    expect(indexOfBest([-3, -1, -2])).toBe(1)
    expect(indexOfBest([Number.NaN, -2, Number.NaN, -1])).toBe(3)
  })

  it("has Wilson's interval where all prompts succeed, and none where they only have the same reward", () => {
    const [one, two] = tableOf(Array.from({ length: 8 }, (_, i) => [1, i % 2]))
    expect(one.high! - one.reward).toBeCloseTo(1.96 * one.standard_error, 3)
    expect(two).toMatchObject({ reward: 1, standard_error: 0, low: expect.closeTo(0.676, 3), high: 1 })
    const [same] = tableOf([
      [2, 3],
      [2, 3],
    ])
    expect(same.low).toBeUndefined()
    expect(tableOf([[1, 0]])[1].low).toBeUndefined()
  })
})

describe('diagnostics', () => {
  it('warn once and count to the end', () => {
    const first = diagnose(noDiagnostics, { entropy: 2, 'completions/mean_length': 10 })
    expect(first.warnings).toEqual([])
    const bad = { entropy: 0.1, 'completions/mean_length': 30 }
    const second = diagnose(first.diagnostics, bad)
    expect(second.warnings.map(({ code }) => code)).toEqual(['entropy-collapse', 'length-drift'])
    const third = diagnose(second.diagnostics, bad)
    expect(third.warnings).toEqual([])
    expect(summarizeDiagnostics(third.diagnostics).map(({ code, count }) => [code, count])).toEqual([
      ['entropy-collapse', 2],
      ['length-drift', 2],
    ])
  })
})
