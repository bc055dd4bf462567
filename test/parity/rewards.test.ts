/** Rewards, advantages, returns and losses of reward models compared with float64 goldens. */
import { describe, expect, it } from 'vitest'
import { baselineAdvantages, groupAdvantages, leaveOneOut, whiten } from '../../src/objectives/advantages.ts'
import { type BaselineKind, initialBaseline, updateBaseline } from '../../src/objectives/baselines.ts'
import { adaptedKl, type KlEstimator, klEstimate, tokenRewards } from '../../src/objectives/kl.ts'
import { expectedReward, logWins, scoreDistribution, winProbability } from '../../src/objectives/probabilisticReward.ts'
import { discountedReturns, gae, normalizedReturns } from '../../src/objectives/returns.ts'
import { bestOfN, pairRanker, rankedAccuracy, rankedPairs } from '../../src/objectives/rewardLosses.ts'
import { grad } from '../../src/tensor/grad.ts'
import { expectClose, golden, matrix, padded, run, vector } from '../support/maths.ts'

const numbers = (values: (number | null)[][]) => values.map((row) => row.map((x) => x ?? Number.NaN))

describe('advantages equal the golden', () => {
  it('leave-one-out and group-relative with each scaling, ignoring failed rewards', () => {
    type Case = { rewards: (number | null)[][] } & Record<'rloo' | 'group' | 'batch' | 'none', number[][]>
    let failed = 0
    for (const c of golden<Case>('group_advantages')) {
      const rewards = numbers(c.rewards)
      failed += rewards.flat().filter(Number.isNaN).length
      expectClose(leaveOneOut(rewards).flat(), c.rloo.flat(), 'rloo')
      for (const scale of ['group', 'batch', 'none'] as const)
        expectClose(groupAdvantages(rewards, scale).flat(), c[scale].flat(), scale)
    }
    expect(failed).toBeGreaterThan(10)
  })

  it('of REINFORCE with moving baselines, and their loss', () => {
    type Case = {
      kind: BaselineKind
      momentum?: number
      window?: number
    } & Record<'rewards' | 'sigma' | 'logps' | 'level1' | 'level2', number[][]> &
      Record<'baselines' | 'loss1' | 'loss2', number[]>
    for (const c of golden<Case>('reinforce_baseline')) {
      let state = initialBaseline
      for (const [t, rewards] of c.rewards.entries()) {
        expectClose([state.value], [c.baselines[t]], `${c.kind} baseline`)
        for (const [level, sigmas, loss] of [
          [c.level1, undefined, c.loss1],
          [c.level2, c.sigma[t], c.loss2],
        ] as const) {
          const advantages = baselineAdvantages(rewards, state.value, sigmas)
          expectClose(advantages, level[t], `${c.kind} advantages`)
          const value = -advantages.reduce((sum, a, i) => sum + a * c.logps[t][i], 0) / rewards.length
          expectClose([value], [loss[t]], 'loss')
        }
        const options = { kind: c.kind, momentum: c.momentum ?? 0, window: c.window ?? 0 }
        // As it is stored in a checkpoint
        state = JSON.parse(JSON.stringify(updateBaseline(state, rewards, options)))
      }
    }
  })

  it('of REINFORCE, whose baselines ignore failed rewards', () => {
    const options = { kind: 'mean', momentum: 0, window: 0 } as const
    const state = updateBaseline(initialBaseline, [1, Number.NaN, 3], options)
    expect(state.value).toBe(2)
    expect(updateBaseline(state, [Number.NaN], options)).toEqual(state)
    expect(baselineAdvantages([Number.NaN, 3], 2)).toEqual([0, 1])
  })

  it('whitened, with and without their mean', () => {
    type Case = { values: number[][]; lengths: number[] } & Record<'whitened' | 'keep_mean', (number | null)[][]>
    for (const c of golden<Case>('whitening')) {
      const mask = c.values.map((row, b) => row.map((_, t) => (t < c.lengths[b] ? 1 : 0)))
      const zeroed = (rows: (number | null)[][]) => rows.flat().map((x) => x ?? 0)
      expectClose(whiten(c.values, { mask }).flat(), zeroed(c.whitened), 'whitened')
      expectClose(whiten(c.values, { mask, keepMean: true }).flat(), zeroed(c.keep_mean), 'with its mean')
    }
  })

  it('by GAE, for padded completions and for episodes', () => {
    type Text = { kind: 'text'; lengths: number[] } & Record<
      'rewards' | 'values' | 'advantages' | 'returns',
      number[][]
    >
    type Control = { kind: 'control'; done: boolean[]; last_value: number } & Record<
      'rewards' | 'values' | 'advantages' | 'returns',
      number[]
    >
    for (const c of golden<(Text | Control) & { gamma: number; lam: number }>('gae')) {
      const options = { gamma: c.gamma, lambda: c.lam }
      if (c.kind === 'control') {
        const { advantages, returns } = gae(c.rewards, c.values, { ...options, done: c.done, lastValue: c.last_value })
        expectClose(advantages, c.advantages, 'advantages')
        expectClose(returns, c.returns, 'returns')
        continue
      }
      for (const [b, length] of c.lengths.entries()) {
        const { advantages, returns } = gae(c.rewards[b].slice(0, length), c.values[b].slice(0, length), options)
        expectClose(advantages, c.advantages[b].slice(0, length), 'advantages')
        expectClose(returns, c.returns[b].slice(0, length), 'returns')
      }
    }
  })

  it('as normalized discounted returns', () => {
    type Case = { gamma: number } & Record<'rewards' | 'returns' | 'normalised', number[]>
    for (const c of golden<Case>('discounted_returns')) {
      const returns = discountedReturns(c.rewards, c.gamma)
      expectClose(returns, c.returns, 'returns')
      expectClose(normalizedReturns(returns), c.normalised, 'normalised')
    }
  })
})

describe('KL penalties equal the golden', () => {
  it("in PPO's rewards, with the score on the last real token", () => {
    type Case = {
      kl_kind: KlEstimator
      beta: number
      eos_id: number
      penalty: number | null
      lengths: number[]
    } & Record<'tokens' | 'logps' | 'ref_logps' | 'rewards', number[][]> &
      Record<'scores' | 'final_scores' | 'kl' | 'non_score' | 'total', number[]>
    for (const c of golden<Case>('ppo_rewards'))
      for (const [b, length] of c.lengths.entries()) {
        const real = (x: number[][]) => x[b].slice(0, length)
        const missing = c.penalty !== null && !real(c.tokens).includes(c.eos_id)
        const score = c.scores[b] - (missing ? c.penalty! : 0)
        const made = tokenRewards(
          { logps: real(c.logps), refLogps: real(c.ref_logps), score },
          { beta: c.beta, estimator: c.kl_kind },
        )
        expectClose(made.rewards, real(c.rewards), 'rewards')
        expectClose([score, made.kl, made.nonScore], [c.final_scores[b], c.kl[b], c.non_score[b]], 'sums')
        expectClose([made.nonScore + score], [c.total[b]], 'total')
      }
  })

  it('by the k1, k2 and k3 estimators', () => {
    type Case = { kind: string; logps: number[]; ref_logps: number[] } & Record<KlEstimator, { value: number[] }>
    for (const c of golden<Case>('kl').filter(({ kind }) => kind === 'estimators'))
      for (const k of ['k1', 'k2', 'k3'] as const) {
        const values = c.logps.map((logp, t) => klEstimate(logp, c.ref_logps[t], k))
        expectClose(values, c[k].value, k)
      }
  })

  it('with an adaptive coefficient that follows the target KL', () => {
    type Case = { init: number; target: number; horizon: number; samples: number; kls: number[]; betas: number[] }
    for (const c of golden<Case>('kl_controller')) {
      const betas = [c.init]
      for (const kl of c.kls) betas.push(adaptedKl(betas.at(-1)!, kl, c.samples, c))
      expectClose(betas, c.betas, 'betas')
    }
  })
})

describe('a reward model loss equals the golden', () => {
  type Best = { kind: 'best_of_n'; rewards: number[][]; best: number[]; loss: number; grad: number[][] }
  type Pair = { kind: 'pairwise'; margin: number[]; center: number; loss: number; accuracy: number } & Record<
    'chosen' | 'rejected' | 'grad_chosen' | 'grad_rejected',
    number[]
  > & { mean_margin: number }
  type Ranks = { kind: 'ranking' | 'ranking_ties'; loss: number } & Record<'rewards' | 'ranks' | 'grad', number[][]>
  type Ranker = { kind: 'pair_ranker'; loss: number } & Record<'z' | 'scores' | 'grad', number[]>
  const cases = golden<Best | Pair | Ranks | Ranker>('reward_losses')
  const of = <K extends string>(kind: K) =>
    cases.filter((c) => c.kind === kind) as Extract<(typeof cases)[0], { kind: K }>[]

  it('best-of-n', () => {
    for (const c of of('best_of_n')) {
      const fed = { rewards: matrix(padded(c.rewards, 5)), best: vector(c.best, 'i64') }
      const [loss, gradient] = run(fed, ({ rewards, best }) => {
        const loss = bestOfN(rewards, best).mean()
        return [loss, ...grad(loss, [rewards])]
      })
      expectClose(loss, [c.loss], 'loss')
      expectClose(gradient, c.grad.flat(), 'gradient')
    }
  })

  it('best-of-n on lists of different lengths', () => {
    const fed = { rewards: matrix([[1, 2, 99]]), best: vector([0], 'i64'), present: matrix([[1, 1, 0]]) }
    const [loss] = run(fed, ({ rewards, best, present }) => [bestOfN(rewards, best, present.gt(0))])
    expectClose(loss, [Math.log(1 + Math.E)], 'loss')
  })

  it('pairwise, with margins and centring', () => {
    for (const c of of('pairwise')) {
      const fed = {
        rewards: matrix(c.chosen.map((x, i) => [x, c.rejected[i]])),
        ranks: matrix(c.chosen.map(() => [1, 2])),
        margins: matrix(c.margin.map((x) => [x, 0])),
      }
      const [loss, gradient, accuracy, margin] = run(fed, ({ rewards, ranks, margins }) => {
        const loss = rankedPairs(rewards, ranks, { center: c.center, margins }).mean()
        const measured = rankedAccuracy(rewards, ranks)
        return [loss, ...grad(loss, [rewards]), measured.accuracy, measured.margin]
      })
      expectClose(loss, [c.loss], 'loss')
      expectClose(
        gradient,
        c.grad_chosen.flatMap((x, i) => [x, c.grad_rejected[i]]),
        'gradient',
      )
      expectClose([...accuracy, ...margin], [c.accuracy, c.mean_margin], 'metrics')
    }
  })

  it('pairwise, with preference probabilities and label smoothing', () => {
    const fed = { rewards: matrix([[1.5, 0.2]]), ranks: matrix([[1, 2]]), prob: vector([0.7]) }
    const l = (x: number) => -Math.log1p(Math.exp(-x))
    const [soft, smooth, both] = run(fed, ({ rewards, ranks, prob }) =>
      [{ prob }, { labelSmoothing: 0.1 }, { prob, labelSmoothing: 0.1 }].map((options) =>
        rankedPairs(rewards, ranks, options),
      ),
    )
    const expected = (p: number) => -p * l(1.3) - (1 - p) * l(-1.3)
    expectClose([...soft, ...smooth, ...both], [expected(0.7), expected(0.9), expected(0.66)], 'loss')
  })

  it.each(['ranking', 'ranking_ties'] as const)('%s, as the mean over the pairs of each prompt', (kind) => {
    for (const c of of(kind)) {
      const fed = { rewards: matrix(padded(c.rewards, 3)), ranks: matrix(padded(c.ranks, 0)) }
      const [loss, gradient] = run(fed, ({ rewards, ranks }) => {
        const loss = rankedPairs(rewards, ranks).mean()
        return [loss, ...grad(loss, [rewards])]
      })
      expectClose(loss, [c.loss], 'loss')
      expectClose(gradient, padded(c.grad, 0).flat(), 'gradient')
    }
  })

  it('PairRanker', () => {
    for (const c of of('pair_ranker')) {
      const [loss, gradient] = run({ scores: matrix([c.scores]), z: matrix([c.z]) }, ({ scores, z }) => {
        const loss = pairRanker(scores, z).mean()
        return [loss, ...grad(loss, [scores])]
      })
      expectClose(loss, [c.loss], 'loss')
      expectClose(gradient, c.grad, 'gradient')
    }
  })

  it('probabilistic, with a distribution over scores', () => {
    type Side = Record<'reward' | 'sigma', number[]>
    type Case = { loss: number; winner: Side; loser: Side } & Record<
      'winner_logits' | 'loser_logits' | 'grad_winner' | 'grad_loser',
      number[][]
    >
    for (const c of golden<Case>('probabilistic_reward')) {
      const fed = { winner: matrix(c.winner_logits), loser: matrix(c.loser_logits) }
      const [loss, dWinner, dLoser, reward, sigma, each] = run(fed, ({ winner, loser }) => {
        const each = logWins(winner, loser)
        const loss = each.mean().neg()
        const expected = expectedReward(winner)
        return [loss, ...grad(loss, [winner, loser]), expected.reward, expected.sigma, each.exp()]
      })
      expectClose(loss, [c.loss], 'loss')
      expectClose(dWinner, c.grad_winner.flat(), 'gradient of the winner')
      expectClose(dLoser, c.grad_loser.flat(), 'gradient of the loser')
      expectClose(reward, c.winner.reward, 'reward')
      expectClose(sigma, c.winner.sigma, 'sigma')
      const [w, l] = [c.winner_logits, c.loser_logits].map((rows) => rows.map(scoreDistribution))
      for (const key of ['reward', 'sigma'] as const)
        expectClose(
          [...w, ...l].map((d) => d[key]),
          [...c.winner[key], ...c.loser[key]],
          key,
        )
      expectClose(
        w.map((d, i) => winProbability(d.probs, l[i].probs)),
        each,
        'P(w > l)',
      )
    }
  })
})
