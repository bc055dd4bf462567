/**
 * Losses and optimizers compared with float64 goldens (PyTorch, transformers and 60-digit arithmetic): values and gradients.
 * They run in the interpreter. The first lines of each fixture hold its formulas.
 */
import { describe, expect, it } from 'vitest'
import { ktoLoss } from '../../src/objectives/kto.ts'
import { log1mexp, logOdds } from '../../src/objectives/log1mexp.ts'
import { plackettLuce } from '../../src/objectives/plackettLuce.ts'
import { type LossSpec, type PreferenceOptions, preferenceLoss } from '../../src/objectives/preference.ts'
import { sftLoss } from '../../src/objectives/sft.ts'
import { clipScale, globalNorm, sumOfSquares } from '../../src/optim/clip.ts'
import { type Hyper, type OptimizerName, optimizer } from '../../src/optim/optimizers.ts'
import { type ScheduleName, type ScheduleOptions, schedule } from '../../src/optim/schedules.ts'
import { grad } from '../../src/tensor/grad.ts'
import { labelLogps } from '../support/crossEntropy.ts'
import { expectClose, type Fed, golden, matrix, padded, run, vector } from '../support/maths.ts'

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length

describe('a preference loss and its gradient equal the golden', () => {
  type Case = {
    beta: number
    eps: number
    chosen: number[]
    rejected: number[]
    chosen_lengths: number[]
    rejected_lengths: number[]
    losses: Record<string, number[]>
    grad_chosen: Record<string, number[]>
    grad_rejected: Record<string, number[]>
  }
  const pairs = (c: number[], r: number[]) => matrix(c.map((x, i) => [x, r[i]]))

  const check = (c: Case, ref: Fed | undefined, name: string, specs: LossSpec[], options: PreferenceOptions) => {
    const fed: Record<'logps' | 'lengths' | 'ranks' | 'refLogps', Fed> = {
      logps: pairs(c.chosen, c.rejected),
      lengths: pairs(c.chosen_lengths, c.rejected_lengths),
      ranks: matrix(c.chosen.map(() => [1, 2])),
      refLogps: ref ?? pairs(c.rejected, c.chosen),
    }
    const [loss, dLogps] = run(fed, (x) => {
      const { loss } = preferenceLoss(specs, options)(x)
      return [loss, ...grad(loss, [x.logps])]
    })
    expectClose(loss, [mean(c.losses[name])], `${name} loss`)
    const expected = c.grad_chosen[name].flatMap((g, i) => [g, c.grad_rejected[name][i]])
    expectClose(dLogps, expected, `${name} gradient`)
  }

  type Dpo = Case & { tau: number; alpha: number; ref_chosen: number[]; ref_rejected: number[] }
  const cases = golden<Dpo>('dpo_losses')
  const changed: Record<string, (c: Dpo) => [LossSpec['name'], Partial<PreferenceOptions>]> = {
    sigmoid_smoothed: (c) => ['sigmoid', { labelSmoothing: c.eps }],
    aot_smoothed: (c) => ['aot', { labelSmoothing: c.eps }],
    exo_pair: (c) => ['exo_pair', { labelSmoothing: c.eps }],
    robust: (c) => ['robust', { labelSmoothing: c.eps }],
    discopop: (c) => ['discopop', { discopopTau: c.tau }],
    forward_kl: () => ['sigmoid', { fDivergence: 'forward_kl' }],
    js_divergence: () => ['sigmoid', { fDivergence: 'js_divergence' }],
    alpha_divergence: (c) => ['sigmoid', { fDivergence: 'alpha_divergence', fAlpha: c.alpha }],
  }
  it.each(Object.keys(cases[0].losses))('%s', (name) => {
    for (const c of cases) {
      const [loss, options] = changed[name]?.(c) ?? [name as LossSpec['name'], {}]
      check(c, pairs(c.ref_chosen, c.ref_rejected), name, [{ name: loss, weight: 1 }], { beta: c.beta, ...options })
    }
  })

  type Free = Case & { gamma: number; alpha: number }
  const free = golden<Free>('reference_free_losses')
  const alone: Record<string, (c: Free) => [LossSpec['name'], Partial<PreferenceOptions>]> = {
    simpo: (c) => ['simpo', { simpoGamma: c.gamma, labelSmoothing: c.eps }],
    cpo: (c) => ['cpo', { cpoAlpha: 0, labelSmoothing: c.eps }],
    cpo_hinge: () => ['hinge', { reference: false }],
    cpo_ipo: () => ['ipo', { reference: false }],
    alphapo: (c) => ['simpo', { simpoGamma: c.gamma, alpha: c.alpha, labelSmoothing: c.eps }],
  }
  it.each(Object.keys(alone))('%s, without a reference', (name) => {
    for (const c of free) {
      const [loss, options] = alone[name](c)
      check(c, undefined, name, [{ name: loss, weight: 1 }], { beta: c.beta, ...options })
    }
  })

  it('orpo, without its likelihood term', () => {
    const specs: LossSpec[] = [
      { name: 'orpo', weight: 1 },
      { name: 'sft', weight: -1 },
    ]
    for (const c of free) check(c, undefined, 'orpo', specs, { beta: c.beta })
  })

  it('K-wise DPO on lists of different lengths in one batch', () => {
    type List = { beta: number; logps: number[][]; ref_logps: number[][]; ranked: number[]; loss: number }
    for (const c of golden<List & { grad: number[][]; dpo_sigmoid?: number }>('kwise_dpo')) {
      const ranks = c.logps.map((row, b) => row.map((_, k) => (k < c.ranked[b] ? k + 1 : -1)))
      const fed = {
        logps: matrix(padded(c.logps, 7)),
        refLogps: matrix(padded(c.ref_logps, -7)),
        ranks: matrix(padded(ranks, 0)),
      }
      const options = { beta: c.beta }
      const [loss, dLogps, sigmoid] = run(fed, (x) => {
        const batch = { ...x, lengths: x.logps.mul(0).add(1) }
        const { loss } = preferenceLoss([{ name: 'plackett-luce', weight: 1 }], options)(batch)
        const pairwise = c.dpo_sigmoid === undefined ? [] : [{ name: 'sigmoid', weight: 1 } as const]
        const also = pairwise.map((spec) => preferenceLoss([spec], options)(batch).loss)
        return [loss, ...grad(loss, [x.logps]), ...also]
      })
      expectClose(loss, [c.loss], 'loss')
      expectClose(dLogps, padded(c.grad, 0).flat(), 'gradient')
      if (sigmoid) expectClose(loss, sigmoid, 'sigmoid DPO')
    }
  })
})

describe('the Plackett-Luce loss and its gradient equal the golden', () => {
  type One = { kind: 'full' | 'partial'; scores: number[]; ranking: number[][]; loss: number; grad: number[] }
  type Tied = { kind: 'ties'; scores: number[]; ranking: number[][] } & Record<'loss' | 'grad', Record<string, never>>
  type Batch = { kind: 'batch'; scores: number[][]; ranking: number[][][]; loss: number; grad: number[][] }
  const cases = golden<One | Tied | Batch>('plackett_luce')
  const ranksOf = (ranking: number[][], size: number) =>
    Array.from({ length: size }, (_, i) => ranking.findIndex((group) => group.includes(i)) + 1 || -1)

  const check = (scores: number[][], rankings: number[][][], loss: number, dScores: number[][], ties?: 'breslow') => {
    const ranks = scores.map((row, b) => ranksOf(rankings[b], row.length))
    const fed = { scores: matrix(padded(scores, 3)), ranks: matrix(padded(ranks, 0)) }
    const [value, gradient] = run(fed, (x) => {
      const loss = plackettLuce(x.scores, x.ranks, ties).mean()
      return [loss, ...grad(loss, [x.scores])]
    })
    expectClose(value, [loss], 'loss')
    expectClose(gradient, padded(dScores, 0).flat(), 'gradient')
  }

  it.each(['full', 'partial', 'ties', 'batch'])('%s', (kind) => {
    for (const c of cases.filter((c) => c.kind === kind)) {
      if (c.kind === 'batch') check(c.scores, c.ranking, c.loss, c.grad)
      else if (c.kind !== 'ties') check([c.scores], [c.ranking], c.loss, [c.grad])
      else {
        check([c.scores], [c.ranking], c.loss.marginal, [c.grad.marginal])
        check([c.scores], [c.ranking], c.loss.breslow, [c.grad.breslow], 'breslow')
      }
    }
  })
})

it('KTO and APO-zero on unpaired completions equal the golden', () => {
  type Part = { loss: number; grad: number[] }
  type Case = Record<'logps' | 'ref_logps' | 'kl_logps' | 'ref_kl_logps', number[]> & {
    beta: number
    desirable_weight: number
    undesirable_weight: number
    label: boolean[]
    z: number
    kto: Part
    apo_zero_unpaired: Part
  }
  for (const c of golden<Case>('kto'))
    for (const lossType of ['kto', 'apo_zero_unpaired'] as const) {
      const fed = {
        logps: vector(c.logps),
        refLogps: vector(c.ref_logps),
        klLogps: vector(c.kl_logps),
        refKlLogps: vector(c.ref_kl_logps),
        labels: vector(c.label.map(Number)),
      }
      const weights = { desirableWeight: c.desirable_weight, undesirableWeight: c.undesirable_weight }
      const [loss, kl, dLogps, dKl] = run(fed, (x) => {
        const { loss, metrics } = ktoLoss({ beta: c.beta, lossType, ...weights })(x)
        return [loss, metrics.kl, ...grad(loss, [x.logps, x.klLogps])]
      })
      expectClose(loss, [c[lossType].loss], lossType)
      expectClose(kl, [lossType === 'kto' ? c.z : 0], 'z')
      expectClose(dLogps, c[lossType].grad, `${lossType} gradient`)
      expectClose(dKl, dKl.fill(0), 'gradient through z')
    }
})

it('log(1 - e^x), log odds and derivative equal the golden', () => {
  type Case = { x: number; value: number; derivative: number; log_odds: number }
  const cases = golden<Case>('log1mexp')
  const [value, odds, derivative] = run({ x: vector(cases.map((c) => c.x)) }, ({ x }) => {
    const y = log1mexp(x)
    return [y, logOdds(x), ...grad(y.sum(), [x])]
  })
  for (const [key, actual] of [['value', value] as const, ['log_odds', odds] as const])
    expectClose(
      actual,
      cases.map((c) => c[key]),
      key,
    )
  expectClose(
    derivative,
    cases.map((c) => c.derivative),
    'derivative',
  )
})

it('cross-entropy with label smoothing and ignored labels equals the golden', () => {
  type Case = { logits: number[][]; labels: number[]; eps: number; loss: number; grad: number[][] }
  for (const c of golden<Case>('cross_entropy')) {
    const fed = {
      logits: matrix(c.logits),
      labels: { ...vector(c.labels), dtype: 'i64' as const },
      weights: vector(c.labels.map((label) => (label < 0 ? 0 : 1))),
    }
    const [loss, dLogits] = run(fed, ({ logits, labels, weights }) => {
      const batch = { logps: labelLogps(logits, labels, c.eps), weights, numItems: weights.sum() }
      const { loss } = sftLoss(batch, { lossType: 'nll' })
      return [loss, ...grad(loss, [logits])]
    })
    expectClose(loss, [c.loss], 'loss')
    expectClose(dLogits, c.grad.flat(), 'gradient')
  }
})

describe('an optimizer equals the golden', () => {
  type Case = {
    optimizer: OptimizerName
    lr: number
    weight_decay: number
    start: number[]
    grads: number[][]
    trajectory: number[][]
  } & Omit<Hyper, 'weightDecay'>
  const cases = golden<Case>('optimizers')

  it.each(['adamw', 'adam', 'sgd', 'rmsprop'])('%s, in each of 20 steps', (name) => {
    for (const c of cases.filter((c) => c.optimizer === name)) {
      const { weight_decay, lr, start, grads, trajectory, ...hyper } = c
      const rule = optimizer(c.optimizer, { ...hyper, weightDecay: weight_decay })
      let param = start
      let state = rule.state.map(() => start.map(() => 0))
      for (const [i, g] of grads.entries()) {
        const at = { step: i + 1, learningRate: lr, gradScale: 0.25, decays: true }
        const scalars = Object.entries(rule.scalarValues(at)).map(([n, x]) => [n, { data: [x], shape: [] }] as const)
        const arrays = [param, g.map((x) => x * 4), ...state].map((x) => vector(x))
        const names = ['param', 'grad', ...rule.state.map((n) => `state.${n}`)]
        const fed = Object.fromEntries([...names.map((n, k) => [n, arrays[k]] as const), ...scalars])
        ;[param, ...state] = run(fed, (x) => {
          const old = Object.fromEntries(rule.state.map((n) => [n, x[`state.${n}`]]))
          const next = rule.update({ param: x.param, grad: x.grad, state: old }, x)
          return [next.param, ...rule.state.map((n) => next.state[n])]
        })
        expectClose(param, trajectory[i], `${name} step ${i + 1}`)
      }
    }
  })
})

it('learning-rate schedules equal the golden', () => {
  type Case = { schedule: ScheduleName; lr: number; warmup: number; total: number; rates: number[] }
  for (const c of golden<Case & { options: Record<string, unknown> }>('schedules')) {
    const camel = Object.entries(c.options).map(([k, v]) => [k.replace(/_(\w)/g, (_, x) => x.toUpperCase()), v])
    const base = { learningRate: c.lr, warmupSteps: c.warmup, totalSteps: c.total }
    const rate = schedule(c.schedule, { ...base, ...Object.fromEntries(camel) } as ScheduleOptions)
    for (const [step, expected] of c.rates.entries())
      if (!(Math.abs(rate(step) - expected) <= 1e-12 * c.lr))
        expect.fail(`${c.schedule} ${JSON.stringify(base)} step ${step}: ${rate(step)}, not ${expected}`)
  }
})

it('gradient clipping by the global norm equals the golden', () => {
  for (const c of golden<{ grads: number[][]; max_norm: number; norm: number; clipped: number[][] }>('grad_clip')) {
    const sums = c.grads.map((g) => run({ g: vector(g) }, ({ g }) => [sumOfSquares(g)])[0][0])
    const norm = globalNorm(sums)
    expectClose([norm], [c.norm], 'norm')
    const scale = clipScale(norm, c.max_norm)
    for (const [i, g] of c.grads.entries())
      expectClose(
        g.map((x) => x * scale),
        c.clipped[i],
        'clipped',
      )
  }
})
