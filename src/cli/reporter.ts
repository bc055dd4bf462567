/**
 * Shows the events of a run on stderr: a progress bar that is redrawn in place, or plain lines where stderr is no terminal,
 * and a line for each evaluation, checkpoint, sample and warning. It draws only when an event comes, and has no timer.
 */

import type { TrainEvent } from '../recipes/trainer/recipe.ts'
import type { ProgressEvent, SampleEvent, StartEvent, WarningEvent } from '../runs/events.ts'
import type { EvalEvent, StepEvent } from '../train/loop.ts'
import type { RateEvent } from '../train/rangeTest.ts'
import { formatNumber, percent, plural, whole } from '../util/format.ts'
import { bytes, duration, shortPath, wrapped } from './format.ts'
import { type BarItem, progressBar } from './progressBar.ts'
import { makeLiveLine, painter, type Screen, safeForTerminal } from './screen.ts'

/** What a command says of work under way: its name and what is counted, in the place of those of the phase, and the time left. */
export type WorkWords = { name?: string; unit?: string; left?: string }

export type Reporter = {
  show(event: TrainEvent, words?: WorkWords): void
  /** Says what is under way on the last line, until there is something else to show. Nothing where there is no bar. */
  waiting(text: string): void
  /** Writes a line. */
  note(text: string): void
  /** Removes the bar. */
  clear(): void
}

/** Milliseconds between two drawings of the bar, and between two plain lines of progress. */
const redrawEvery = 60
const repeatEvery = 10_000
/** Milliseconds between two lines that name a checkpoint; the last one is named at the end. */
const savedEvery = 60_000
/** Where there is no bar, shorter work than this prints nothing. */
const worthALine = 1000
/** Characters of a prompt that are shown before its completion. */
const promptShown = 20

/** @param workers how many share the work, where that is asked for */
export const makeReporter = (
  screen: Screen,
  { logEvery, workers = () => undefined }: { logEvery: number; workers?: () => number | undefined },
): Reporter => {
  const paint = painter(screen)
  const bar = makeLiveLine(screen)
  let last = Number.NEGATIVE_INFINITY
  let work = { name: '', at: 0 }
  let since: Since = { at: screen.now(), step: 0 }
  let stepped = false
  /** The end of the first step of this process, while there is no second one. */
  let firstEnd: (Since & { rollout?: unknown }) | undefined
  let sharedBy = workers()
  let saved = { path: '', at: screen.now() }
  /** The last line while nothing can be measured yet. */
  let standing = ''

  const stand = () => {
    if (standing && screen.live) bar.draw(standing)
  }
  const waiting = (text: string) => {
    standing = text
    stand()
  }
  const note = (text: string) => {
    bar.clear()
    screen.write(`${safeForTerminal(text, screen.color)}\n`)
    stand()
  }
  const clear = () => {
    standing = ''
    bar.clear()
  }
  const fitted = (text: string) => (screen.live ? wrapped(text, screen.columns() - 1, 12) : text)
  const entry = (label: string, text: string) => note(`  ${paint('dim', label.padEnd(10))}${text}`)
  const draw = (line: () => string, final: boolean) => {
    if (!final && screen.now() - last < redrawEvery) return
    last = screen.now()
    bar.draw(line())
  }

  const show: { [E in TrainEvent as E['event']]: (event: E, words: WorkWords) => void } = {
    start(event) {
      since = { at: screen.now(), step: event.step, tokens: event.step === 0 ? 0 : undefined }
      entry('data', dataText(event))
      entry('training', trainingText(event))
      if (event.step > 0) entry('resumed', `after step ${event.step} of ${event.total_steps}`)
      if (event.step < event.total_steps) waiting(firstStepBar(screen, event))
    },
    progress(event, words) {
      const complete = event.done >= event.total
      const name = [event.phase, words.name, event.of].join(' ')
      if (work.name !== name) {
        work = { name, at: screen.now() }
        last = screen.live ? Number.NEGATIVE_INFINITY : screen.now()
        // The first word that there is of a model, of which the next may take minutes
        const start = event.phase === 'generate' ? (event.from ?? 0) : 0
        if (!screen.live && event.of !== undefined && event.done === start) note(workText(event, words))
      }
      if (screen.live) {
        draw(() => workBar(screen, event, words), complete)
        if (complete) bar.clear()
        if (complete) stand()
      } else if (screen.now() - last > repeatEvery || (complete && screen.now() - work.at > worthALine)) {
        last = screen.now()
        note(workText(event, words))
      }
    },
    step(event) {
      // What is done once before the first step tells nothing of the pace; the step's own rollout does
      if (!stepped && event.seconds !== undefined) since = { ...since, at: screen.now() - 1000 * event.seconds }
      const now = workers()
      // With more workers or fewer the pace is another one from here on
      const changed = stepped && now !== sharedBy
      // The first step warms the engine up, so it counts only where later steps learn from its rollout too
      if (firstEnd && (event.rollout === undefined || event.rollout !== firstEnd.rollout)) since = firstEnd
      if (changed) since = { at: screen.now() - 1000 * (event.seconds ?? 0), step: event.step - 1, tokens: undefined }
      sharedBy = now
      const pace = paceOf(event, since, screen.now())
      const first = !stepped || changed
      const end = { at: screen.now(), step: event.step, tokens: event.num_tokens }
      firstEnd = stepped ? undefined : { ...end, rollout: event.rollout }
      stepped = true
      standing = ''
      const final = event.step === event.total_steps
      if (screen.live) draw(() => stepBar(screen, event, pace, now), final)
      else if (event.step % logEvery === 0 || first || final)
        note(stepLine(event, pace, { workers: now, alone: first }))
      since = since.tokens === undefined ? end : since
    },
    eval: (event) => entry('eval', fitted(`step ${event.step}   ${metricsText(evalMetrics(event))}`)),
    checkpoint({ path }) {
      const isDue = screen.now() - saved.at >= savedEvery
      saved = isDue ? { path: '', at: screen.now() } : { ...saved, path }
      if (isDue) entry('saved', shortPath(path))
    },
    sample: (event) => entry('sample', sampleText(screen, event)),
    warning: (event) => note(`  ${paint('yellow', 'note'.padEnd(10))}${fitted(warningText(event))}`),
    rate(event) {
      standing = ''
      if (screen.live) draw(() => rateBar(screen, event), event.step === event.total_steps)
      else if (event.step % logEvery === 0)
        note(
          `rate ${event.step}/${event.total_steps}  lr ${formatNumber(event.learning_rate)}  loss ${formatNumber(event.loss)}`,
        )
    },
    'found-lr': () => clear(),
    end() {
      clear()
      if (saved.path) entry('saved', shortPath(saved.path))
      saved = { path: '', at: screen.now() }
    },
    compute: (event) => entry('compute', fitted(event.message)),
  }
  return { show: (event, words = {}) => show[event.event](event as never, words), waiting, note, clear }
}

const dataText = ({ rows, eval_rows, dropped = {} }: StartEvent): string => {
  const reasons = Object.entries(dropped)
  const left = reasons.reduce((sum, [, n]) => sum + n, 0)
  const why = reasons.map(([reason, n]) => `${reason} ${whole(n)}`).join(', ')
  return [
    plural(rows, 'row'),
    eval_rows && `${whole(eval_rows)} to evaluate on`,
    left && `${whole(left)} left out (${why})`,
  ]
    .filter(Boolean)
    .join(', ')
}

const trainingText = ({ total_steps, parameters, trainable, plan, engine }: StartEvent): string => {
  const trained = trainable === parameters ? 'all' : `${whole(trainable)} of`
  const engineText = `${engine.provider}, ${plural(engine.threads, 'thread')}`
  return `${plural(total_steps, 'step')} on ${trained} ${whole(parameters)} parameters (${plan}; ${engineText})`
}

const phases: Record<ProgressEvent['phase'], string> = {
  load: 'loading',
  reference: 'reference log-probs',
  tokenize: 'tokenizing',
  generate: 'generating',
  score: 'scoring',
  reward: 'rewarding',
  download: 'downloading',
  upload: 'uploading',
}

/** What is counted; bytes where a phase has none. */
const units: Partial<Record<ProgressEvent['phase'], string>> = {
  load: 'tensors',
  reference: 'batches',
  tokenize: 'rows',
  generate: 'completions',
  score: 'rows',
  reward: 'completions',
}

/** 12/40 rows */
const countOf = ({ phase, done, total }: ProgressEvent, unit = units[phase]): string => {
  return unit === undefined ? `${bytes(done)} of ${bytes(total)}` : `${whole(done)}/${whole(total)} ${unit}`
}

const workText = (event: ProgressEvent, { name, unit, left }: WorkWords): string =>
  `${name ?? phases[event.phase]} ${[countOf(event, unit), event.of, left].filter(Boolean).join(', ')}`

const workBar = (screen: Screen, event: ProgressEvent, { name, unit, left }: WorkWords) => {
  const { phase, of, done, total } = event
  const share: BarItem = { label: '', text: percent(total > 0 ? done / total : 0) }
  const time: BarItem[] = left === undefined ? [] : [{ label: '', text: left, style: 'cyan' }]
  const others = [...(of === undefined ? [] : [of]), countOf(event, unit)].map((text): BarItem => ({ label: '', text }))
  return progressBar(screen, {
    head: name ?? phases[phase],
    done,
    total,
    items: [share, ...time, ...others],
    order: [share, ...others, ...time],
  })
}

const rateBar = (screen: Screen, { step, total_steps, learning_rate, loss }: RateEvent) =>
  progressBar(screen, {
    head: `${step}/${total_steps}`,
    done: step,
    total: total_steps,
    items: [
      { label: 'learning rate', text: formatNumber(learning_rate), style: 'bold' },
      { label: 'loss', text: formatNumber(loss) },
    ],
  })

const firstStepBar = (screen: Screen, { step, total_steps }: StartEvent) =>
  progressBar(screen, {
    head: `${step}/${total_steps}`,
    done: step,
    total: total_steps,
    items: [{ label: 'the first step is under way', text: '' }],
  })

/**
 * Where the pace is measured from: the first step of this process, after all that is done once before it. `tokens` is
 * undefined until the first step of a resumed run tells how many there were.
 */
type Since = { at: number; step: number; tokens?: number }
type Pace = { seconds: number; left: number; tokensPerSecond?: number }

/** The average over the steps since then, with evaluations and checkpoints between them. */
const paceOf = (event: StepEvent, since: Since, now: number): Pace => {
  const elapsed = (now - since.at) / 1000
  const seconds = elapsed / Math.max(1, event.step - since.step)
  const measured = since.tokens === undefined || elapsed <= 0 ? undefined : (event.num_tokens - since.tokens) / elapsed
  return {
    seconds,
    left: seconds * (event.total_steps - event.step),
    tokensPerSecond: measured ?? event.tokens_per_second,
  }
}

const speedOf = ({ tokensPerSecond }: Pick<Pace, 'tokensPerSecond'>): string[] =>
  tokensPerSecond === undefined ? [] : [`${whole(tokensPerSecond)} tokens/s`]

/** The metrics that are shown beside the bar, with their short names; the most important first. */
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

const metricItem = (name: string, value: number): BarItem => ({
  label: labels[name] ?? name,
  text: labels[name] === 'accuracy' ? percent(value) : formatNumber(value),
})

/** The metrics of an event that are worth showing; of two with the same short name the first. */
const highlights = (event: Readonly<Record<string, unknown>>): BarItem[] => {
  const items = Object.keys(labels).flatMap((name) =>
    typeof event[name] === 'number' ? [metricItem(name, event[name])] : [],
  )
  return items.filter(({ label }, i) => items.findIndex((item) => item.label === label) === i)
}

/** The number that tells how a run goes: the reward if there is one, because the loss of a policy gradient says nothing. */
const headline = (event: StepEvent): { name: string; value: number } => {
  const reward: unknown = event.reward
  return typeof reward === 'number' ? { name: 'reward', value: reward } : { name: 'loss', value: event.loss }
}

const stepBar = (screen: Screen, event: StepEvent, pace: Pace, workers: number | undefined): string => {
  const { name, value } = headline(event)
  const main: BarItem = { label: name, text: formatNumber(value), style: 'bold' }
  const left: BarItem = { label: '', text: `${duration(pace.left)} left`, style: 'cyan' }
  const others = highlights(event).filter(({ label }) => label !== name)
  const speed = [...speedOf(pace), ...workersText(workers)].map((text) => ({ label: '', text }))
  return progressBar(screen, {
    head: `${event.step}/${event.total_steps}`,
    done: event.step,
    total: event.total_steps,
    items: [main, left, ...others, ...speed],
    order: [main, ...others, ...speed, left],
  })
}

const workersText = (workers: number | undefined) => (workers === undefined ? [] : [plural(workers, 'worker')])

/** Of one step alone; what is left is by the pace of all. @param alone the pace is that of this step */
const stepLine = (
  event: StepEvent,
  pace: Pace,
  { workers, alone }: { workers: number | undefined; alone: boolean },
): string => {
  const own = event.seconds === undefined ? pace : { seconds: event.seconds, tokensPerSecond: event.tokens_per_second }
  const left = `${duration(pace.left)} left`
  return [
    `step ${event.step}/${event.total_steps}`,
    `loss ${formatNumber(event.loss)}`,
    ...highlights(event).map(({ label, text }) => `${label} ${text}`),
    `lr ${formatNumber(event.learning_rate)}`,
    `grad ${formatNumber(event.grad_norm)}`,
    `${own.seconds.toFixed(2)} s`,
    ...speedOf(own),
    ...workersText(workers),
    alone && event.step < event.total_steps ? `${left} by this step alone` : left,
  ].join('  ')
}

/** eval_loss -> loss */
const evalMetrics = (event: EvalEvent): Record<string, number> =>
  Object.fromEntries(
    Object.entries(event).flatMap(([name, value]) =>
      name.startsWith('eval_') && typeof value === 'number' ? [[name.slice('eval_'.length), value]] : [],
    ),
  )

const metricsText = (metrics: Record<string, number>): string =>
  [...('loss' in metrics ? [{ label: 'loss', text: formatNumber(metrics.loss) }] : []), ...highlights(metrics)]
    .map(({ label, text }) => `${label} ${text}`)
    .join('   ')

const warningText = ({ message, count }: WarningEvent) =>
  count && count > 1 ? `${message} (${whole(count)} times)` : message

/** The reward, the end of the prompt, and the completion. */
const sampleText = (screen: Screen, { prompt, completion, reward }: SampleEvent): string => {
  const rewardText =
    reward === undefined ? '' : `${Number.isFinite(reward ?? Number.NaN) ? formatNumber(reward!) : 'failed'}  `
  const flat = oneLine(prompt, Number.POSITIVE_INFINITY)
  const promptEnd = flat.length > promptShown ? `…${flat.slice(1 - promptShown)}` : flat
  const room = screen.columns() - 14 - rewardText.length - promptEnd.length
  return `${rewardText}${painter(screen)('dim', `${promptEnd}│`)}${oneLine(completion, room)}`
}

const oneLine = (text: string, width: number): string => {
  // A completion may hold escape codes
  const flat = text.replace(/[\p{Cc}\s]+/gu, ' ')
  return flat.length > width ? `${flat.slice(0, Math.max(0, width - 1))}…` : flat
}
