/** Policy-gradient, value and KL losses compared with float64 goldens: values and gradients. */
import { describe, expect, it } from 'vitest'
import { type Aggregation, tokenWeights } from '../../src/objectives/aggregation.ts'
import type { KlEstimator } from '../../src/objectives/kl.ts'
import { klTokens, type PolicyOptions, policyLoss, valueLoss } from '../../src/objectives/policyGradient.ts'
import { grad } from '../../src/tensor/grad.ts'
import { expectClose, type Fed, golden, run, vector } from '../support/maths.ts'

type Policy = Record<'low' | 'high' | 'dual' | 'loss' | 'clip_fraction' | 'approx_kl', number> & {
  lengths: number[]
} & Record<'logps' | 'old_logps' | 'grad', number[][]>
type Value = { kind: 'value'; clip: number; lengths: number[]; loss: number; clip_fraction: number } & Record<
  'values' | 'old_values' | 'returns' | 'grad',
  number[][]
>
type Case =
  | (Policy & { kind: 'policy'; advantages: number[][] })
  | (Policy & { kind: 'sequence'; advantages: number[] })
  | Value
const cases = golden<Case>('ppo_losses')

const plain: PolicyOptions = {
  ...{ loss: 'clip', ratio: 'token', epsilonLow: 0.2, epsilonHigh: 0.2 },
  ...{ beta: 0, klEstimator: 'k3', entropyCoef: 0 },
}

/** The tokens of all rows without padding. `layout` says which row each belongs to. */
const real = (rows: number[][], lengths: number[]) => rows.flatMap((row, b) => row.slice(0, lengths[b]))
const layout = (lengths: number[], aggregation: Aggregation) => {
  const [weights] = tokenWeights(aggregation, [lengths], 1)
  const along = (of: (b: number) => number) => lengths.flatMap((n, b) => Array<number>(n).fill(of(b)))
  return {
    sequence: vector(
      along((b) => b),
      'i64',
    ),
    lengths: vector(lengths),
    weights: vector(along((b) => weights[b])),
    entropy: vector(along(() => 1)),
  }
}

const check = (c: Policy, advantages: number[], options: PolicyOptions, aggregation: Aggregation) => {
  const fed = {
    ...layout(c.lengths, aggregation),
    logps: vector(real(c.logps, c.lengths)),
    oldLogps: vector(real(c.old_logps, c.lengths)),
    advantages: vector(advantages),
  } satisfies Record<string, Fed>
  const [loss, gradient, clipped, kl] = run(fed, (x) => {
    const { loss, metrics } = policyLoss(x, options)
    return [loss, ...grad(loss, [x.logps]), metrics['clip_ratio/region_mean'], metrics.approx_kl]
  })
  expectClose(loss, [c.loss], 'loss')
  expectClose(gradient, real(c.grad, c.lengths), 'gradient')
  expectClose([...clipped, ...kl], [c.clip_fraction, c.approx_kl], 'metrics')
}

describe("PPO's loss and gradient equal the golden", () => {
  it('of the policy, with clipping on both sides and dual clipping', () => {
    for (const c of cases.filter((c) => c.kind === 'policy')) {
      const options = { ...plain, epsilonLow: c.low, epsilonHigh: c.high, delta: c.dual || undefined }
      check(c, real(c.advantages, c.lengths), options, 'bnpo')
    }
  })

  it('of the policy, with one ratio per completion (GSPO)', () => {
    for (const c of cases.filter((c) => c.kind === 'sequence')) {
      const advantages = c.lengths.flatMap((n, b) => Array<number>(n).fill(c.advantages[b]))
      const options = { ...plain, ratio: 'sequence', epsilonLow: c.low, epsilonHigh: c.high } as const
      check(c, advantages, { ...options, delta: c.dual || undefined }, 'grpo')
    }
  })

  it('of the value model', () => {
    for (const c of cases.filter((c) => c.kind === 'value')) {
      const fed = {
        values: vector(real(c.values, c.lengths)),
        oldValues: vector(real(c.old_values, c.lengths)),
        returns: vector(real(c.returns, c.lengths)),
        weights: layout(c.lengths, 'bnpo').weights,
      }
      const [loss, gradient, clipped] = run(fed, (x) => {
        const { loss, clipfrac } = valueLoss(x, { clip: c.clip })
        return [loss, ...grad(loss, [x.values]), clipfrac]
      })
      expectClose(loss, [c.loss], 'loss')
      expectClose(gradient, real(c.grad, c.lengths), 'gradient')
      expectClose(clipped, [c.clip_fraction], 'clip fraction')
    }
  })
})

it('token weights make micro-batch losses add up to the loss of the step', () => {
  type Step = { max_length: number; lengths: number[][]; losses: number[][][] } & Record<Aggregation, number[]>
  for (const c of golden<Step>('aggregation'))
    for (const kind of ['grpo', 'bnpo', 'dr_grpo', 'dapo'] as const) {
      const weights = tokenWeights(kind, c.lengths, c.max_length)
      const sums = c.losses.map((micro, i) =>
        micro.reduce((sum, row, b) => row.slice(0, c.lengths[i][b]).reduce((s, x) => s + x * weights[i][b], sum), 0),
      )
      expectClose(sums, c[kind], kind)
    }
})

describe('KL in the loss', () => {
  type Estimates = { kind: 'estimators'; logps: number[]; ref_logps: number[] } & Record<
    KlEstimator,
    Record<'value' | 'grad', number[]>
  >
  type Exact = { kind: 'exact' } & Record<
    'logits' | 'ref_logits' | 'grad' | 'reverse_grad' | 'entropy_grad',
    number[]
  > & {
      kl: number
      entropy: number
      expected: Record<KlEstimator, number>
      expected_grad: Record<KlEstimator, number[]>
    }
  type Example = { kind: 'example'; p: number[]; q: number[]; kl: number }
  const all = golden<Estimates | Exact | Example>('kl')
  const kinds = ['k1', 'k2', 'k3'] as const

  it('the k1, k2 and k3 estimators and their gradients equal the golden', () => {
    for (const c of all.filter((c) => c.kind === 'estimators'))
      for (const k of kinds) {
        const fed = { logps: vector(c.logps), refLogps: vector(c.ref_logps) }
        const [value, gradient] = run(fed, ({ logps, refLogps }) => {
          const kl = klTokens(logps, refLogps, k)
          return [kl, ...grad(kl.sum(), [logps])]
        })
        expectClose(value, c[k].value, k)
        expectClose(gradient, c[k].grad, `gradient of ${k}`)
      }
  })

  it('k1 and k3 average to the KL, and only the gradient of k2 averages to its gradient', () => {
    for (const c of all.filter((c) => c.kind === 'exact'))
      for (const k of kinds) {
        const fed = { logits: vector(c.logits), ref: vector(c.ref_logits) }
        const [value, gradient, kl] = run(fed, ({ logits, ref }) => {
          const [logps, refLogps] = [logits.logSoftmax(), ref.logSoftmax()]
          const p = logps.exp().stopGradient()
          const estimate = klTokens(logps, refLogps, k).mul(p).sum()
          return [estimate, ...grad(estimate, [logits]), logps.sub(refLogps).mul(p).sum()]
        })
        expectClose(value, [c.expected[k]], `mean of ${k}`)
        expectClose(gradient, c.expected_grad[k], `mean gradient of ${k}`)
        expectClose(kl, [c.kl], 'KL')
        if (k === 'k2') expectClose(gradient, c.grad, 'gradient of KL(P || Q)')
        if (k === 'k3') expectClose(gradient, c.reverse_grad, 'gradient of KL(Q || P)')
      }
  })

  it('the example of the fixture is 0.0969535246', () => {
    const [{ p, q, kl }] = all.filter((c) => c.kind === 'example')
    const [value] = run({ p: vector(p), q: vector(q) }, ({ p, q }) => [klTokens(p.log(), q.log(), 'k1').mul(p).sum()])
    expectClose(value, [kl], 'KL')
    expect(value[0]).toBeCloseTo(0.0969535246, 10)
  })
})

describe('the policy objective', () => {
  const fed = {
    ...layout([2, 3], 'dapo'),
    logps: vector([-1, -2, -0.5, -3, -1.5]),
    advantages: vector([1, 1, -2, -2, -2]),
  }

  it('without old log-probs has ratio 1 and the gradient of REINFORCE', () => {
    const [ratio, on, reinforce] = run(fed, (x) => {
      const { loss, metrics } = policyLoss(x, plain)
      const other = policyLoss(x, { ...plain, loss: 'reinforce' }).loss
      return [metrics.ratio, ...grad(loss, [x.logps]), ...grad(other, [x.logps])]
    })
    expect(ratio).toEqual([1])
    expectClose(on, reinforce, 'gradient')
    expectClose(on, [-0.2, -0.2, 0.4, 0.4, 0.4], 'gradient')
  })

  it('ignores tokens of weight 0, whatever their log-probs', () => {
    const one = { ...fed, weights: vector([0.25, 0.25, 0.25, 0, 0.25]), oldLogps: vector([-1, -2, -1, -200, -1.5]) }
    const [loss, gradient, entropy] = run(one, (x) => {
      const { loss, metrics } = policyLoss(x, plain)
      return [loss, ...grad(loss, [x.logps]), metrics.entropy]
    })
    expect(Number.isFinite(loss[0])).toBe(true)
    expect(gradient[3]).toBe(0)
    expect(entropy).toEqual([1])
  })
})
