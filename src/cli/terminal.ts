/**
 * Training as one watches it: a bar that is redrawn in place, or plain lines where stderr is no terminal, and lines for
 * what stays: evaluations, checkpoints, warnings. Peculiar: it is fed events and a clock, and keeps no timer.
 */

import type { TrainEvent } from '../recipes/trainer/recipe.ts'
import type { ProgressEvent, SampleEvent, StartEvent, WarningEvent } from '../runs/events.ts'
import type { EvalEvent, StepEvent } from '../train/loop.ts'
import { percent, plural, whole } from '../util/format.ts'
import { barLine, type Part } from './bar.ts'
import { duration, figure, shortPath, wrapped } from './format.ts'
import { harmless, painter, type Screen } from './screen.ts'

export type Reporter = {
  show(event: TrainEvent): void
  /** A line of its own. */
  note(text: string): void
  /** Takes the bar away. */
  clear(): void
}

/** Between two drawings of the bar, and between two plain lines of progress. Milliseconds. */
const redrawEvery = 60
const repeatEvery = 10_000
/** Shorter work says nothing where there is no bar. */
const worthALine = 1000
/** Characters of a sample's prompt. */
const promptShown = 20

export const reporter = (screen: Screen, { logEvery }: { logEvery: number }): Reporter => {
  const paint = painter(screen)
  let drawn = false
  let last = Number.NEGATIVE_INFINITY
  let phase = { name: '', at: 0 }
  let since: Since = { at: screen.now(), step: 0 }
  let stepped = false

  const clear = () => {
    if (drawn) screen.write('\r\u001b[2K')
    drawn = false
  }
  const note = (text: string) => {
    clear()
    screen.write(`${harmless(text, screen.color)}\n`)
  }
  const fitted = (text: string) => (screen.live ? wrapped(text, screen.columns() - 1, 12) : text)
  const entry = (label: string, text: string) => note(`  ${paint('dim', label.padEnd(10))}${text}`)
  const draw = (line: () => string, final: boolean) => {
    if (!final && screen.now() - last < redrawEvery) return
    last = screen.now()
    screen.write(`\r\u001b[2K${line()}`)
    drawn = true
  }

  const show: { [E in TrainEvent as E['event']]: (event: E) => void } = {
    start(event) {
      since = { at: screen.now(), step: event.step, tokens: event.step === 0 ? 0 : undefined }
      entry('data', dataText(event))
      entry('training', trainingText(event))
      if (event.step > 0) entry('resumed', `after step ${event.step} of ${event.total_steps}`)
    },
    progress(event) {
      const complete = event.done >= event.total
      if (phase.name !== event.phase) {
        phase = { name: event.phase, at: screen.now() }
        last = screen.live ? Number.NEGATIVE_INFINITY : screen.now()
      }
      if (screen.live) {
        draw(() => progressBar(screen, event), complete)
        if (complete) clear()
      } else if (screen.now() - last > repeatEvery || (complete && screen.now() - phase.at > worthALine)) {
        last = screen.now()
        note(`${phases[event.phase]} ${whole(event.done)}/${whole(event.total)}`)
      }
      if (!stepped) since = { ...since, at: screen.now() }
    },
    step(event) {
      const pace = paceOf(event, since, screen.now())
      const first = event.step === since.step + 1
      stepped = true
      const final = event.step === event.total_steps
      if (screen.live) draw(() => stepBar(screen, event, pace), final)
      else if (event.step % logEvery === 0 || first || final) note(stepLine(event, pace))
      since = since.tokens === undefined ? { at: screen.now(), step: event.step, tokens: event.num_tokens } : since
    },
    eval: (event) => entry('eval', fitted(`step ${event.step}   ${measures(evalMetrics(event))}`)),
    checkpoint: (event) => entry('saved', shortPath(event.path)),
    sample: (event) => entry('sample', sampleText(screen, event)),
    warning: (event) => note(`  ${paint('yellow', 'note'.padEnd(10))}${fitted(warningText(event))}`),
    end: () => clear(),
  }
  return { show: (event) => show[event.event](event as never), note, clear }
}

const dataText = ({ rows, eval_rows, dropped = {} }: StartEvent): string => {
  const left = Object.entries(dropped)
  const out = left.reduce((sum, [, n]) => sum + n, 0)
  const reasons = left.map(([why, n]) => `${why} ${whole(n)}`).join(', ')
  return [
    plural(rows, 'row'),
    eval_rows && `${whole(eval_rows)} to evaluate on`,
    out && `${whole(out)} left out (${reasons})`,
  ]
    .filter(Boolean)
    .join(', ')
}

const trainingText = ({ total_steps, parameters, trainable, plan, engine }: StartEvent): string => {
  const part = trainable === parameters ? 'all' : `${whole(trainable)} of`
  const where = `${engine.provider}, ${plural(engine.threads, 'thread')}`
  return `${plural(total_steps, 'step')} on ${part} ${whole(parameters)} parameters (${plan}; ${where})`
}

const phases: Record<ProgressEvent['phase'], string> = {
  load: 'loading',
  reference: 'reference',
  tokenize: 'tokenizing',
  generate: 'generating',
  score: 'scoring',
  reward: 'rewarding',
  download: 'downloading',
  upload: 'uploading',
}

const progressBar = (screen: Screen, { phase, done, total }: ProgressEvent) =>
  barLine(screen, phases[phase], done, total, [{ label: '', text: percent(total > 0 ? done / total : 0) }])

/** Where measuring began, behind what comes before the first step; the tokens before it are unknown when a run is resumed. */
type Since = { at: number; step: number; tokens?: number }
type Pace = { seconds: number; left: number; tokensPerSecond?: number }

/** Of all steps that this process made. */
const paceOf = (event: StepEvent, since: Since, now: number): Pace => {
  const elapsed = (now - since.at) / 1000
  const seconds = elapsed / Math.max(1, event.step - since.step)
  const measured = since.tokens === undefined || elapsed <= 0 ? undefined : (event.num_tokens - since.tokens) / elapsed
  return {
    seconds: event.seconds ?? seconds,
    left: seconds * (event.total_steps - event.step),
    tokensPerSecond: measured ?? event.tokens_per_second,
  }
}

const speedOf = ({ tokensPerSecond }: Pace): string[] =>
  tokensPerSecond === undefined ? [] : [`${whole(tokensPerSecond)} tokens/s`]

/** What is worth a place beside the bar, the most important first. */
const labels: Record<string, string> = {
  'rewards/margins': 'margin',
  margin: 'margin',
  'rewards/accuracies': 'accuracy',
  mean_token_accuracy: 'accuracy',
  accuracy: 'accuracy',
  reward: 'reward',
  kl: 'kl',
  'completions/mean_length': 'length',
  mean_reward: 'mean reward',
}

const metric = (name: string, value: number): Part => ({
  label: labels[name] ?? name,
  text: labels[name] === 'accuracy' ? percent(value) : figure(value),
})

/** Of two measures with one label the first. */
const highlights = (event: Readonly<Record<string, unknown>>): Part[] => {
  const parts = Object.keys(labels).flatMap((name) =>
    typeof event[name] === 'number' ? [metric(name, event[name])] : [],
  )
  return parts.filter(({ label }, i) => parts.findIndex((part) => part.label === label) === i)
}

/** What a run is about: the loss of a policy gradient says nothing, its reward does. */
export const headline = (event: StepEvent): { name: string; value: number } => {
  const reward: unknown = event.reward
  return typeof reward === 'number' ? { name: 'reward', value: reward } : { name: 'loss', value: event.loss }
}

const stepBar = (screen: Screen, event: StepEvent, pace: Pace): string => {
  const { name, value } = headline(event)
  const head: Part = { label: name, text: figure(value), style: 'bold' }
  const left: Part = { label: '', text: `${duration(pace.left)} left`, style: 'cyan' }
  const others = highlights(event).filter(({ label }) => label !== name)
  const speed = speedOf(pace).map((text) => ({ label: '', text }))
  return barLine(
    screen,
    `${event.step}/${event.total_steps}`,
    event.step,
    event.total_steps,
    [head, left, ...others, ...speed],
    [head, ...others, ...speed, left],
  )
}

const stepLine = (event: StepEvent, pace: Pace): string =>
  [
    `step ${event.step}/${event.total_steps}`,
    `loss ${figure(event.loss)}`,
    ...highlights(event).map(({ label, text }) => `${label} ${text}`),
    `lr ${figure(event.learning_rate)}`,
    `grad ${figure(event.grad_norm)}`,
    `${pace.seconds.toFixed(2)} s`,
    ...speedOf(pace),
    `${duration(pace.left)} left`,
  ].join('  ')

/** eval_loss -> loss */
const evalMetrics = (event: EvalEvent): Record<string, number> =>
  Object.fromEntries(
    Object.entries(event).flatMap(([name, value]) =>
      name.startsWith('eval_') && typeof value === 'number' ? [[name.slice('eval_'.length), value]] : [],
    ),
  )

const measures = (metrics: Record<string, number>): string =>
  [...('loss' in metrics ? [{ label: 'loss', text: figure(metrics.loss) }] : []), ...highlights(metrics)]
    .map(({ label, text }) => `${label} ${text}`)
    .join('   ')

const warningText = ({ message, count }: WarningEvent) =>
  count && count > 1 ? `${message} (${whole(count)} times)` : message

/** What it was worth, the end of the prompt, and the answer. */
const sampleText = (screen: Screen, { prompt, completion, reward }: SampleEvent): string => {
  const worth = reward === undefined ? '' : `${Number.isFinite(reward ?? Number.NaN) ? figure(reward!) : 'failed'}  `
  const flat = oneLine(prompt, Number.POSITIVE_INFINITY)
  const asked = flat.length > promptShown ? `…${flat.slice(1 - promptShown)}` : flat
  const room = screen.columns() - 14 - worth.length - asked.length
  return `${worth}${painter(screen)('dim', `${asked}│`)}${oneLine(completion, room)}`
}

const oneLine = (text: string, width: number): string => {
  // What a model says may hold escape codes
  const flat = text.replace(/[\p{Cc}\s]+/gu, ' ')
  return flat.length > width ? `${flat.slice(0, Math.max(0, width - 1))}…` : flat
}
