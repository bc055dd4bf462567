import { describe, expect, it } from 'vitest'
import type { TrainEvent } from '../recipes/trainer/recipe.ts'
import type { StartEvent } from '../runs/events.ts'
import type { StepEvent } from '../train/loop.ts'
import { closing } from './commands/train.ts'
import { makeReporter } from './reporter.ts'
import type { Screen } from './screen.ts'

/** A screen with a clock that the test sets; what was written is kept. */
const fake = (live: boolean, width = 100) => {
  const state = { now: 0, text: '' }
  const screen: Screen = {
    live,
    color: false,
    columns: () => width,
    write: (text) => void (state.text += text),
    now: () => state.now,
  }
  return { state, screen }
}

const start = (step = 0): StartEvent => ({
  event: 'start',
  step,
  total_steps: 100,
  rows: 40,
  dropped: { 'prefix-differs': 2 },
  parameters: 260_032,
  trainable: 4096,
  plan: 'blocks',
  engine: { provider: 'cpu', threads: 2, version: '1.30.0' },
  model_files: [],
  data_files: [],
})
const step = (n: number): StepEvent => ({
  event: 'step',
  step: n,
  total_steps: 100,
  loss: 0.6934,
  grad_norm: 1.5,
  learning_rate: 1e-6,
  epoch: n / 5,
  num_tokens: 1000 * n,
  'rewards/margins': 0.0125,
  'rewards/accuracies': 0.5625,
})

/** Two seconds a step. */
const play = ({ state, screen }: ReturnType<typeof fake>, events: TrainEvent[], logEvery = 10) => {
  const report = makeReporter(screen, { logEvery })
  for (const event of events) {
    if (event.event === 'step') state.now += 2000
    report.show(event)
  }
  return report
}
const steps = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => step(from + i))

describe('without a terminal', () => {
  it('prints the first step and every tenth, with speed and time left', () => {
    const plain = fake(false)
    play(plain, [start(), ...steps(1, 20)])
    expect(plain.state.text.split('\n')).toEqual([
      '  data      40 rows, 2 left out (prefix-differs 2)',
      '  training  100 steps on 4,096 of 260,032 parameters (blocks; cpu, 2 threads)',
      'step 1/100  loss 0.6934  margin 0.01250  accuracy 56 %  lr 1.0e-6  grad 1.500  2.00 s  500 tokens/s  3:18 left by this step alone',
      'step 10/100  loss 0.6934  margin 0.01250  accuracy 56 %  lr 1.0e-6  grad 1.500  2.00 s  500 tokens/s  3:00 left',
      'step 20/100  loss 0.6934  margin 0.01250  accuracy 56 %  lr 1.0e-6  grad 1.500  2.00 s  500 tokens/s  2:40 left',
      '',
    ])
  })

  it('measures the pace of a resumed run from the step where it continued', () => {
    const plain = fake(false)
    play(plain, [start(50), ...steps(51, 60)])
    expect(plain.state.text).toContain('resumed   after step 50 of 100')
    expect(plain.state.text).toMatch(/step 51\/100 {2}.*2\.00 s {2}1:38 left/)
    expect(plain.state.text).toMatch(/step 60\/100 {2}.*500 tokens\/s {2}1:20 left/)
  })

  it('has seconds and speed of the same step, and what is left without the first step', () => {
    const lefts = (rollout: (n: number) => number | undefined) => {
      const plain = fake(false)
      const report = makeReporter(plain.screen, { logEvery: 1 })
      report.show({ ...start(), total_steps: 25 })
      for (const [i, seconds] of [27.5, 3, 3, 5].entries()) {
        plain.state.now += 1000 * seconds
        const measured = { seconds, tokens_per_second: 120 / seconds, num_tokens: 120 * (i + 1) }
        report.show({ ...step(i + 1), ...measured, total_steps: 25, rollout: rollout(i + 1) })
      }
      return plain.state.text.match(/[\d.]+ s {2}\d+ tokens.*/g)
    }
    const expected = [
      '27.50 s  4 tokens/s  11:00 left by this step alone',
      '3.00 s  40 tokens/s  1:09 left',
      '3.00 s  40 tokens/s  1:06 left',
      '5.00 s  24 tokens/s  1:17 left',
    ]
    expect(lefts(() => undefined)).toEqual(expected)
    expect(lefts((n) => n)).toEqual(expected)
    // The first step's rollout serves the second too
    expect(lefts((n) => Math.ceil(n / 2))![1]).toBe('3.00 s  40 tokens/s  5:51 left')
  })

  it('includes rollouts between steps in the pace', () => {
    const plain = fake(false)
    const rollout: TrainEvent = { event: 'progress', phase: 'generate', done: 8, total: 8 }
    play(plain, [start(), ...steps(1, 20).flatMap((each) => [rollout, each])])
    expect(plain.state.text).toMatch(/step 20\/100 {2}.*2\.00 s {2}500 tokens\/s {2}2:40 left/)
  })

  it('counts the rollout of the first step, and nothing that is done once before it', () => {
    const plain = fake(false)
    const report = makeReporter(plain.screen, { logEvery: 10 })
    report.show(start())
    plain.state.now += 500_000
    report.show({ event: 'eval', step: 0, eval_reward: 0.1 })
    plain.state.now += 50_000
    report.show({ event: 'progress', phase: 'generate', done: 8, total: 8 })
    plain.state.now += 10_000
    report.show({ ...step(1), seconds: 60 })
    expect(plain.state.text).toContain('1:39:00 left')
  })

  it('names the last checkpoint at the end, and others at most once a minute', () => {
    const plain = fake(false)
    const report = makeReporter(plain.screen, { logEvery: 10 })
    const checkpoint = (n: number): TrainEvent => ({ event: 'checkpoint', step: n, path: `r/checkpoints/step-${n}` })
    for (const n of [1, 2, 3]) report.show(checkpoint(n))
    expect(plain.state.text).toBe('')
    plain.state.now += 61_000
    for (const n of [4, 5]) report.show(checkpoint(n))
    expect(plain.state.text).toBe('  saved     r/checkpoints/step-4\n')
    report.show({ event: 'end', steps: 5, output: 'r/model', stopped: 'done' })
    expect(plain.state.text).toBe('  saved     r/checkpoints/step-4\n  saved     r/checkpoints/step-5\n')
  })

  it('prints evaluations, warnings and samples', () => {
    const plain = fake(false)
    play(plain, [
      { event: 'eval', step: 5, eval_loss: 0.6, 'eval_rewards/accuracies': 0.75 },
      { event: 'checkpoint', step: 5, path: 'r/checkpoints/step-5' },
      { event: 'compute', compute: 'int8', speed: 2, message: 'int8: products 2.0 times as fast' },
      { event: 'warning', code: 'cut', message: 'rows were cut', count: 3 },
      { event: 'sample', step: 5, prompt: 'a', completion: 'b\u001b[2J\nc' },
      { event: 'sample', step: 5, prompt: 'Once upon a time there was', completion: ' a dog', reward: 0.5 },
      { event: 'sample', step: 5, prompt: 'a', completion: 'b', reward: Number.NaN },
    ])
    expect(plain.state.text).toBe(
      [
        '  eval      step 5   loss 0.6000   accuracy 75 %',
        '  compute   int8: products 2.0 times as fast',
        '  note      rows were cut (3 times)',
        '  sample    a│b [2J c',
        '  sample    0.5000  …on a time there was│ a dog',
        '  sample    failed  a│b',
        '',
      ].join('\n'),
    )
  })
})

describe('work before training', () => {
  const done = (n: number): TrainEvent => ({ event: 'progress', phase: 'reference', done: n, total: 40 })

  it('prints a line every ten seconds and at its end, and nothing if it is short', () => {
    const plain = fake(false)
    const report = makeReporter(plain.screen, { logEvery: 10 })
    for (let n = 1; n <= 40; n++) {
      plain.state.now += 1000
      report.show(done(n))
    }
    expect(plain.state.text).toBe([12, 23, 34, 40].map((n) => `reference log-probs ${n}/40 batches\n`).join(''))
    const quick = fake(false)
    play(quick, [done(1), done(40)])
    expect(quick.state.text).toBe('')
  })

  it('names the model, at once where it may take long, and bytes as such', () => {
    const plain = fake(false)
    const report = makeReporter(plain.screen, { logEvery: 10 })
    const by = (of: string, done: number): TrainEvent => ({ event: 'progress', phase: 'generate', of, done, total: 80 })
    for (const event of [by('sft', 0), by('sft', 80), by('dpo', 0), by('dpo', 80)]) {
      report.show(event)
      plain.state.now += 2000
    }
    plain.state.now += 20_000
    report.show({ event: 'progress', phase: 'download', of: 'a/b', done: 5e6, total: 27e7 })
    plain.state.now += 20_000
    report.show({ event: 'progress', phase: 'download', of: 'a/b', done: 6e6, total: 27e7 })
    expect(plain.state.text.split('\n')).toEqual([
      'generating 0/80 completions, sft',
      'generating 80/80 completions, sft',
      'generating 0/80 completions, dpo',
      'generating 80/80 completions, dpo',
      expect.stringMatching(/^downloading 6(\.\d+)? MB of 270(\.\d+)? MB, a\/b$/),
      '',
    ])
  })

  it('counts over several models where events do, and says how long it takes', () => {
    const plain = fake(false)
    const report = makeReporter(plain.screen, { logEvery: 10 })
    const by = (phase: 'generate' | 'reference', of: string, done: number, from: number): TrainEvent => ({
      ...{ event: 'progress', phase, of, done, total: 160, from },
    })
    const words = { name: 'answering', unit: 'completions', left: '1:00 left' }
    for (const phase of ['generate', 'reference'] as const)
      for (const event of [by(phase, 'sft', 0, 0), by(phase, 'sft', 80, 0), by(phase, 'dpo', 80, 80)])
        report.show(event, words)
    // Only where a model is opened its beginning is worth a line
    expect(plain.state.text).toBe(
      ['0/160 completions, sft', '80/160 completions, dpo', '0/160 completions, sft']
        .map((text) => `answering ${text}, 1:00 left\n`)
        .join(''),
    )
  })

  it('has a bar that is removed at its end', () => {
    const live = fake(true, 60)
    play(live, [done(20)])
    expect(live.state.text).toBe(
      `\r\u001b[2K  reference log-probs  ${'━'.repeat(7)}╸${'─'.repeat(7)}  50 %  20/40 batches`,
    )
    play(live, [done(40)])
    expect(live.state.text.endsWith('\r\u001b[2K')).toBe(true)
  })
})

describe('the progress bar', () => {
  const lastLine = (text: string) => text.slice(text.lastIndexOf('\r'))

  it('is redrawn in place, and erased before a line is printed', () => {
    const live = fake(true)
    const report = play(live, [start(), ...steps(1, 25)])
    expect(lastLine(live.state.text)).toBe(
      '\r\u001b[2K  25/100  ━━━━━───────────────  loss 0.6934  margin 0.01250  accuracy 56 %  500 tokens/s  2:30 left',
    )
    report.show({ event: 'eval', step: 25, eval_loss: 0.5 })
    expect(live.state.text.endsWith('\r\u001b[2K  eval      step 25   loss 0.5000\n')).toBe(true)
  })

  it.each([200, 100, 80, 60, 40, 30])('fits %i columns, and always shows the step', (width) => {
    const live = fake(true, width)
    play(live, [start(), ...steps(1, 25)])
    const line = lastLine(live.state.text).replace('\r\u001b[2K', '')
    expect(line.length).toBeLessThan(width)
    expect(line).toContain('25/100')
    expect(line.includes('loss 0.6934')).toBe(width >= 40)
    expect(line.includes('500 tokens/s')).toBe(width >= 100)
  })

  it('breaks lines beside it between words', () => {
    const live = fake(true, 40)
    play(live, [{ event: 'warning', code: 'cut', message: 'rows were cut to the length limits', count: 3 }])
    expect(live.state.text).toBe('  note      rows were cut to the length\n            limits (3 times)\n')
  })

  it('is drawn at most every 60 ms', () => {
    const live = fake(true)
    const report = makeReporter(live.screen, { logEvery: 10 })
    report.show(start())
    const before = live.state.text.length
    for (const event of steps(1, 50)) {
      live.state.now += 1
      report.show(event)
    }
    expect(live.state.text.slice(before).match(/\r/g)).toHaveLength(1)
  })
})

describe('the end of a run', () => {
  const outcome = (stopped: 'done' | 'interrupted') => ({
    began: 0,
    change: { metric: 'loss', heldOut: true, from: { step: 0, value: 0.7 }, to: { step: 100, value: 0.6934 } },
    end: { event: 'end', steps: 100, output: 'r/model', stopped } as const,
  })

  it('prints where the result is and the next command', () => {
    const { screen, state } = fake(false)
    state.now = 83_000
    expect(closing(screen, 'dpo', 'r', outcome('done'))).toBe(
      [
        '  done      100 steps in 1:23, held-out loss 0.7000 → 0.6934',
        '  result    r/model',
        '  next      attune generate --model r --prompt "..."',
        '            attune runs show r',
        '            attune export --model r --gguf F16 --output model.gguf',
      ].join('\n'),
    )
    expect(closing(screen, 'dpo', 'r', { ...outcome('done'), chats: true })).toContain(
      'next      attune chat --model r\n',
    )
    const scored = closing(screen, 'reward', 'r', { ...outcome('done'), chats: true })
    expect(scored).toContain('attune score --model r --data ROWS.jsonl')
    expect(scored).toContain('ROWS.jsonl stands for what you have')
    const ends = { from: { step: 5, value: 0.25 }, to: { step: 100, value: 1 } }
    const rewarded = { ...outcome('done'), change: { metric: 'reward', heldOut: false, steps: 20, ...ends } }
    expect(closing(screen, 'rloo', 'r', rewarded)).toContain(
      '100 steps in 1:23, training reward 0.2500 → 1.000 (means of the first and last 20 steps)',
    )
    const later = { ...outcome('done'), change: { metric: 'loss', heldOut: true, ...ends } }
    expect(closing(screen, 'dpo', 'r', later)).toContain('held-out loss 0.2500 → 1.000 (first measured after step 5)')
    expect(closing(screen, 'dpo', "a b's", outcome('interrupted'))).toContain(
      `continue  attune dpo --output 'a b'\\''s' --resume`,
    )
  })
})

describe('before the first step', () => {
  it('the last line says what is under way, below whatever is printed meanwhile', () => {
    const { state, screen } = fake(true)
    const report = makeReporter(screen, { logEvery: 10 })
    const lastLine = () => state.text.split('\n').at(-1)!.split('\u001b[2K').at(-1)!
    report.waiting('  reading')
    expect(lastLine()).toBe('  reading')
    report.show({ event: 'progress', phase: 'load', done: 1, total: 4 })
    expect(lastLine()).toContain('loading')
    report.show(start())
    expect(lastLine()).toMatch(/0\/100 .*the first step is under way/)
    report.show({ event: 'progress', phase: 'generate', done: 4, total: 4 })
    report.note('  a note')
    expect(lastLine()).toMatch(/the first step is under way/)
    state.now += 2000
    report.show(step(1))
    expect(lastLine()).toMatch(/1\/100 .*loss 0.6934/)
    report.clear()
    report.note('  the end')
    expect(lastLine()).toBe('')
  })

  it('nothing is printed where no line can be redrawn', () => {
    const { state, screen } = fake(false)
    makeReporter(screen, { logEvery: 10 }).waiting('  reading')
    expect(state.text).toBe('')
  })
})
