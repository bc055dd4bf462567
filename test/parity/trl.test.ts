/**
 * Replays training runs of TRL 1.16 with attune's recipes, from the same files.
 * Compared are loss, gradient norm, learning rate and metrics of each step, the gradient of the first step, and the final
 * weights. What is not compared is listed here with the reason. ATTUNE_TRL=all also runs the -lora run of every loss, which
 * uses the same code.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import type { StoredTensor } from '../../src/checkpoint/stored.ts'
import type { StepEvent } from '../../src/train/loop.ts'
import { fileSource } from '../../src/util/files.node.ts'
import { fixture, largestDifference } from '../support/golden.ts'
import { withoutAvx512 } from '../support/processor.ts'
import { methodOf, replay, type Summary, type TrlRun, trlRuns } from '../support/trl.ts'

const everywhere = (await trlRuns()).filter(({ name }) => name !== 'sft-packing')
const named = (names: string) => everywhere.filter(({ name }) => names.split(' ').includes(name))

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-trl-'))
  vi.stubEnv('ATTUNE_CACHE', join(root, 'cache'))
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true })
})

/** Metrics that attune defines differently. */
const different = ({ name }: TrlRun): RegExp => {
  // TRL logs rewards against a reference model that the loss does not need
  if (name.startsWith('dpo-sft')) return /^rewards\//
  // TRL logs means per token instead of log-probs, and includes logits of padding
  if (name === 'cpo-ipo') return /^(rewards|logps|logits)\//
  // TRL includes logits of padding, and a likelihood of weight 0
  if (/^(simpo|alphapo)$/.test(name)) return /^(logits\/|nll_loss$)/
  if (methodOf(name) === 'dpo' && !name.startsWith('dpo')) return /^logits\//
  // TRL leaves rows that truncation drops out of the epoch
  return name === 'sft-truncated' ? /^epoch$/ : /^$/
}

/** Relative and absolute tolerance: log-probs of -300 in f32, times beta. */
const within = (name: string, run: TrlRun): [relative: number, absolute: number] => {
  const { tolerance } = run
  // Adam's first step moves weights by the sign of their gradient, which rounding decides near 0; exp(log-ratio) enlarges it
  const slack = withoutAvx512 && run.name === 'dpo-forward_kl' ? 20 : 1
  if (name === 'learning_rate' || name === 'num_tokens') return [1e-8, 0]
  // The gate of discopop multiplies rounding errors by 1 / tau
  if (name === 'grad_norm') return [Math.max(1e-4, 5 * tolerance.grad_norm) * slack, 0]
  return name === 'loss' ? [1e-4 * slack, 0] : [1e-4 * slack, 2e-5 * slack]
}

const stepsOf = async (run: TrlRun, output: string, changes: object = {}) => {
  const steps: StepEvent[] = []
  for await (const event of replay(run, output, changes)) if (event.event === 'step') steps.push(event)
  return steps
}

const expectStep = (actual: StepEvent, expected: TrlRun['steps'][number], run: TrlRun) => {
  const but = different(run)
  for (const [name, value] of Object.entries(expected)) {
    if (but.test(name)) continue
    const [relative, absolute] = within(name, run)
    const difference = Math.abs((actual[name] as number) - value)
    if (!(difference <= relative * Math.abs(value) + absolute))
      expect.fail(`step ${actual.step}: ${name} is ${actual[name]}, not ${value}`)
  }
}

const result = async ({ lora }: TrlRun, output: string): Promise<Map<string, StoredTensor>> => {
  const file = lora ? 'adapter/adapter_model.safetensors' : 'model/model.safetensors'
  return (await openSafetensors(await fileSource(join(output, file)))).tensors
}

const expectSummary = (values: Float32Array, { norm, sum, first }: Summary, slack: number, name: string) => {
  expect(Math.abs(Math.hypot(...values) - norm), `norm of ${name}`).toBeLessThanOrEqual(1e-5 * norm + slack)
  const total = values.reduce((a, b) => a + b, 0)
  expect(Math.abs(total - sum), `sum of ${name}`).toBeLessThanOrEqual(1e-4 * norm + slack)
  expect(largestDifference(values.slice(0, first.length), first), name).toBeLessThanOrEqual(slack)
}

describe('a training run of TRL is reproduced in every step and the final weights', () => {
  const lora = /lora$/
  const few = /^(sft|kto)-lora$|^dpo-(sigmoid|ipo|aot_unpaired|sft)-lora$|pretrained/
  const runs = everywhere.filter(({ name }) => process.env.ATTUNE_TRL === 'all' || !lora.test(name) || few.test(name))

  it.each(runs)('$name', async (run) => {
    const output = join(root, run.name)
    const steps = await stepsOf(run, output)
    expect(steps).toHaveLength(run.optimizer.steps)
    run.steps.forEach((expected, i) => {
      expectStep(steps[i], expected, run)
    })
    const tensors = await result(run, output)
    expect([...tensors.keys()].sort()).toEqual(Object.keys(run.final).sort())
    const slack = Math.max(1e-5, 3 * run.tolerance.final)
    for (const [name, summary] of Object.entries(run.final))
      expectSummary(await tensors.get(name)!.floats(), summary, slack, name)
  })

  it.each(['sft-text', 'sft-completion', 'dpo-sigmoid', 'dpo-sigmoid-lora'])(
    '%s, in every single weight',
    async (name) => {
      const tensors = await result(named(name)[0], join(root, name))
      const golden = await openSafetensors(await fileSource(fixture(`trl/final/${name}.safetensors`)))
      for (const [key, expected] of golden.tensors) {
        const difference = largestDifference(await tensors.get(key)!.floats(), await expected.floats())
        // An Adam step for a gradient near 0 can have either sign
        expect(difference, key).toBeLessThan(3e-5)
      }
    },
  )
})

/** One SGD step with learning rate 1, so that the change of the weights is the gradient. */
const descent = { optimizer: 'sgd', learningRate: 1, schedule: 'constant', weightDecay: 0, maxGradNorm: 0, maxSteps: 1 }

describe('the gradient of the first step equals TRL', () => {
  const names =
    'sft-dft sft-smoothing sft-completion dpo-ld dpo-wpo dpo-mix dpo-lora-pretrained cpo-hinge orpo simpo-nll kto'
  it.each(named(names))('$name', async (run) => {
    const output = join(root, `${run.name}-gradient`)
    await stepsOf(run, output, descent)
    const start = run.lora ? `lora-${run.name.endsWith('pretrained') ? 'pretrained' : 'start'}/adapter_` : 'model/'
    const before = (await openSafetensors(await fileSource(fixture(`trl/${start}model.safetensors`)))).tensors
    const after = await result(run, output)
    for (const [name, summary] of Object.entries(run.first_gradient)) {
      const [x, y] = [await before.get(name)!.floats(), await after.get(name)!.floats()]
      // Weights near 1 have a rounding error of 6e-8
      const slack = 1e-5 * Math.max(...summary.first.map(Math.abs)) + 3e-7 * Math.sqrt(x.length)
      expectSummary(
        x.map((value, i) => value - y[i]),
        summary,
        slack,
        name,
      )
    }
  })
})
