/**
 * Losses and metrics compared with those that TRL 1.16 logged, computed from the log-probs that it logged (f32, nine digits).
 * Where TRL and attune differ, the options that reproduce TRL are set here.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { ktoLoss } from '../../src/objectives/kto.ts'
import type { Objective } from '../../src/objectives/objective.ts'
import { type LossSpec, type PreferenceOptions, preferenceLoss } from '../../src/objectives/preference.ts'
import { evaluate, type Feed } from '../../src/runtime/interpreter.ts'
import { input, type Tensor } from '../../src/tensor/tensor.ts'

type Asked = {
  beta: number
  loss_type?: string | string[]
  loss_weights?: number[]
  label_smoothing?: number
  cpo_alpha?: number
  simpo_gamma?: number
  alpha?: number
  f_divergence_type?: PreferenceOptions['fDivergence']
  f_alpha_divergence_coef?: number
  desirable_weight?: number
  undesirable_weight?: number
}
type Step = {
  loss: number
  metrics: Record<string, number>
  logps: number[]
  ref_logps?: number[]
  kl_logps?: number[]
  ref_kl_logps?: number[]
  lengths: number[]
  label: number[]
}

const fixture = new URL('../fixtures/maths/trl_preference.json.gz', import.meta.url)
const { cases }: { cases: { run: string; asked: Asked; steps: Step[] }[] } = JSON.parse(
  gunzipSync(readFileSync(fixture)).toString(),
)

const run = (feeds: Record<string, Feed>, build: (x: Record<string, Tensor>) => Objective): Record<string, number> => {
  const inputs = Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, input(name, shape)]))
  const { loss, metrics } = build(inputs)
  const values = evaluate([loss, ...Object.values(metrics)], feeds).map(({ data }) => data[0])
  return Object.fromEntries(['loss', ...Object.keys(metrics)].map((name, i) => [name, values[i]]))
}

const expectLogged = (actual: Record<string, number>, step: Step, but: readonly string[] = []) => {
  for (const [name, value] of Object.entries({ loss: step.loss, ...step.metrics }).filter(([n]) => !but.includes(n)))
    if (!(Math.abs(actual[name] - value) <= 2e-5 * Math.max(1, Math.abs(value))))
      expect.fail(`${name} is ${actual[name]}, not ${value}`)
}

/** [chosen..., rejected...] as [B, 2]. */
const pairs = (both: number[]): Feed => {
  const B = both.length / 2
  return { shape: [B, 2], data: both.slice(0, B).flatMap((x, i) => [x, both[i + B]]) }
}

const weightsOne = (names: string[], weights: number[] = []) =>
  names.map((name, i) => ({ name, weight: weights[i] ?? 1 }) as LossSpec)

describe.each(cases.filter((c) => c.run.startsWith('dpo-')))('$run', ({ run: name, asked, steps }) => {
  it('has the loss and metrics that TRL logged', () => {
    const specs = weightsOne([asked.loss_type ?? 'sigmoid'].flat(), asked.loss_weights)
    const options: PreferenceOptions = {
      beta: asked.beta,
      // TRL's sigmoid has no smoothing.
      labelSmoothing: name === 'dpo-smoothing' ? 0 : asked.label_smoothing,
      fDivergence: asked.f_divergence_type,
      fAlpha: asked.f_alpha_divergence_coef,
      // TRL logs rewards against the reference even where the loss does not need it.
      reference: true,
    }
    for (const step of steps) {
      const ranks = { shape: [step.logps.length / 2, 2], data: step.logps.map((_, i) => 1 + (i % 2)) }
      const feeds = { logps: pairs(step.logps), refLogps: pairs(step.ref_logps!), lengths: pairs(step.lengths), ranks }
      const actual = run(feeds, ({ logps, refLogps, lengths, ranks }) =>
        preferenceLoss(specs, options)({ logps, refLogps, lengths, ranks }),
      )
      expectLogged(actual, step)
    }
  })
})

describe.each(cases.filter((c) => /^(cpo|simpo|alphapo|orpo)/.test(c.run)))('$run', ({ run: name, asked, steps }) => {
  it('has the loss and metrics that TRL logged', () => {
    const kind = name === 'orpo' ? 'orpo' : String(asked.loss_type ?? 'sigmoid')
    // TRL's CPO with hinge or ipo is attune's loss without a reference model plus the likelihood.
    const alone = kind === 'hinge' || kind === 'ipo'
    const specs = alone
      ? weightsOne([kind, 'sft'], [1, asked.cpo_alpha ?? 1])
      : weightsOne([{ sigmoid: 'cpo', alphapo: 'simpo' }[kind] ?? kind])
    const options: PreferenceOptions = {
      beta: asked.beta,
      labelSmoothing: asked.label_smoothing,
      simpoGamma: asked.simpo_gamma,
      cpoAlpha: asked.cpo_alpha,
      alpha: asked.alpha,
      reference: false,
    }
    const means = ['orpo', 'simpo', 'alphapo', 'ipo'].includes(kind)
    for (const step of steps) {
      const ranks = { shape: [step.logps.length / 2, 2], data: step.logps.map((_, i) => 1 + (i % 2)) }
      const logps = pairs(step.logps.map((x, i) => (means ? x * step.lengths[i] : x)))
      const actual = run({ logps, lengths: pairs(step.lengths), ranks }, ({ logps, lengths, ranks }) =>
        preferenceLoss(specs, options)({ logps, lengths, ranks }),
      )
      if (kind !== 'orpo') {
        // TRL logs ipo's log-probs per token, and a likelihood of 0 where it has none.
        const perToken = Object.keys(step.metrics).filter((n) => kind === 'ipo' && /^(rewards|logps)/.test(n))
        expectLogged({ nll_loss: 0, ...actual }, step, perToken)
      } else {
        // Its likelihood covers the prompt, whose log-probs were not logged.
        const odds = step.loss - step.metrics.nll_loss
        expectLogged({ ...actual, loss: actual.loss - actual.nll_loss }, { ...step, loss: odds }, ['nll_loss'])
      }
    }
  })
})

describe.each(cases.filter((c) => c.run.startsWith('kto')))('$run', ({ asked, steps }) => {
  it('has the loss and metrics that TRL logged', () => {
    const loss = ktoLoss({
      beta: asked.beta,
      lossType: asked.loss_type === 'apo_zero_unpaired' ? 'apo_zero_unpaired' : 'kto',
      desirableWeight: asked.desirable_weight ?? 1,
      undesirableWeight: asked.undesirable_weight ?? 1,
    })
    for (const step of steps) {
      const of = (data: number[]) => ({ shape: [data.length], data })
      const kl = step.kl_logps && { klLogps: of(step.kl_logps), refKlLogps: of(step.ref_kl_logps!) }
      const feeds = { logps: of(step.logps), refLogps: of(step.ref_logps!), labels: of(step.label), ...kl }
      const actual = run(feeds, ({ logps, refLogps, labels, klLogps, refKlLogps }) =>
        loss({ logps, refLogps, labels, klLogps, refKlLogps }),
      )
      expectLogged(actual, step)
      for (const side of ['chosen', 'rejected'])
        expect(Number.isNaN(actual[`rewards/${side}`])).toBe(!(`rewards/${side}` in step.metrics))
    }
  })
})
