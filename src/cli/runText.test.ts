import { describe, expect, it } from 'vitest'
import type { RunSummary } from '../runs/find.node.ts'
import { comparisonText, runDetails, runTable } from './runText.ts'

const run = {
  ...{ name: 'a', dir: '/runs/a', state: 'done', steps: 4, totalSteps: 4, first: { loss: 2 }, last: { loss: 1 } },
  change: { metric: 'loss', heldOut: true, from: { step: 0, value: 2 }, to: { step: 4, value: 1.5 } },
  info: {
    ...{ method: 'sft', created: '2026-01-02T03:04:05.678Z' },
    command: ['attune', 'sft', '--model', 'm', '--lora-r', '16', '--epochs', '1'],
    config: { model: 'm', loraR: 16, epochs: 1, learningRate: 2e-5, shuffle: true, chat: false, output: 'a' },
  },
} as unknown as RunSummary

describe('attune runs', () => {
  it('lists what was measured on held-out rows, and leaves the least out where there is no room', () => {
    const name = () => 'a'
    expect(runTable([run], name, 100).split('\n')).toEqual([
      'run  method  state  steps  measured             begun',
      'a    sft     done     4/4  held-out loss 1.500  2026-01-02 03:04',
    ])
    expect(runTable([run], name, 45).split('\n')[1]).toBe('a    done     4/4  held-out loss 1.500')
  })

  it('shows given settings as flags, and those with their defaults only when asked', () => {
    const defaults = { epochs: 1, shuffle: true, chat: false }
    const shown = (all: boolean) => runDetails(run, defaults, { all, width: 100 })
    expect(shown(false)).toContain('measured  held-out loss 2.000 → 1.500')
    // --epochs was typed, though it is the default
    expect(shown(false)).toContain(
      'settings that were given\n  --model   m\n  --lora-r  16\n  --epochs  1\n\n3 further settings have their defaults: --all',
    )
    expect(shown(true)).toContain('--learning-rate  2e-5\n  --shuffle        yes\n  --chat           no')
  })

  it('tells settings that follow from the given ones apart', () => {
    const config = { model: '/base', adapter: '/runs/sft/adapter', loraR: 16, threads: 2 }
    const shown = (...words: string[]) =>
      runDetails({ ...run, info: { ...run.info, config, command: words } }, {}, { all: false, width: 100 })
    expect(shown('attune', 'dpo', '--model', 'runs/sft', '--lora-r=16')).toMatch(
      /given\n {2}--model {3}runs\/sft\n {2}--lora-r {2}16\n\nsettings that follow from these\n {2}--model {4}\/base\n {2}--adapter {2}\/runs\/sft\/adapter\n {2}--threads {2}2$/,
    )
    // A settings file may hold any of them
    for (const words of [['attune', 'dpo', '--config', 'dpo.yaml'], []])
      expect(shown(...words)).toMatch(/settings that were given\n.*\n.*\n.*\n {2}--threads {2}2$/)
  })

  it('has no first value of what was evaluated once', () => {
    const shown = (first: number) => {
      const evaluations = {
        firstEvaluation: { step: first, eval_loss: 0.392 },
        evaluation: { step: 4, eval_loss: 0.392 },
      }
      return runDetails({ ...run, ...evaluations }, {}, { all: false, width: 100 })
    }
    expect(shown(4)).toMatch(/on held-out rows.*\n {2}loss +0\.3920\n/)
    expect(shown(2)).toMatch(/on held-out rows.*\n {2}loss +0\.3920 +0\.3920\n/)
  })

  it('compares settings that all methods have, and tells losses apart', () => {
    const text = comparisonText(
      {
        runs: ['a', 'b'],
        settings: { method: ['sft', 'dpo'], loraR: [16, undefined], beta: [undefined, 0.1] },
        metrics: { steps: [4, 8], eval_entropy: [1, 2] },
        apart: { why: 'The losses differ.', changes: [run.change, undefined] },
      },
      { width: 100, isShared: (key) => key !== 'beta' },
    )
    expect(text.split('\n')).toEqual([
      'what differs    a    b',
      '  method      sft  dpo',
      '  --lora-r     16    -',
      '  steps made    4    8',
      '',
      '1 further setting is of one method alone.',
      '',
      'on held-out rows      a      b',
      '  entropy         1.000  2.000',
      '',
      'The losses differ.',
      '  a: held-out loss 2.000 → 1.500',
      '  b: nothing measured',
      '',
      'What the models write can be compared: attune compare --help.',
    ])
  })
})
