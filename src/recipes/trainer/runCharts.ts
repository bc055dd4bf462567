/** The charts of a run: its metrics in the order of their weight, those of held-out rows beside those of training. */
import { chartGrid } from '../../report/figures.ts'
import { type Html, html } from '../../report/html.ts'
import { type Chart, measured, type Point, smooth } from '../../report/lineChart.ts'
import type { Curves } from '../../runs/curves.ts'
import { formatNumber, percent, plural } from '../../util/format.ts'

/** What a metric is called, and how it is read. */
type Meaning = {
  name: string
  note: string
  y?: string
  guide?: { value: number; name: string }
  /** A part of a whole, from 0 to 1. */
  isShare?: boolean
}

const chance = { value: 0.5, name: 'chance' }

/** By published names, the most telling first. */
const meanings: Readonly<Record<string, Meaning>> = {
  reward: { name: 'Reward', note: 'The mean reward of the samples. It should rise.' },
  loss: {
    name: 'Loss',
    note: 'What training minimises. Falling only in training and rising on held-out rows is overfitting.',
  },
  'rewards/accuracies': {
    name: 'Preference accuracy',
    note: 'The share of pairs whose better response has the higher reward. Chance is one half. At step 1 policy and reference model are still the same, so there are no margins yet and it tells nothing.',
    guide: chance,
    isShare: true,
  },
  accuracy: {
    name: 'Accuracy',
    note: 'The share of pairs whose better response gets the higher score. Chance is one half.',
    guide: chance,
    isShare: true,
  },
  mean_token_accuracy: {
    name: 'Token accuracy',
    note: 'The share of target tokens that the model holds for the likeliest.',
    isShare: true,
  },
  nll: { name: 'Loss of the data', note: 'Per token of the data, in nats. It should fall.', y: 'nats' },
  exact_match: { name: 'Exact match', note: 'The share of greedy completions that equal the data.', isShare: true },
  'rewards/margins': {
    name: 'Reward margin',
    note: 'By how much better responses win. It should rise, but not without end.',
    y: 'nats',
  },
  margin: { name: 'Score margin', note: 'By how much better responses win.' },
  agreement: {
    name: 'Agreement',
    note: 'The share of tokens at which student and teacher have the same likeliest token. It should rise.',
    isShare: true,
  },
  reverse_kl: {
    name: 'Reverse KL',
    note: 'KL(student || teacher) of a token: how unlikely for the teacher is what the student would say.',
    y: 'nats',
  },
  forward_kl: {
    name: 'Forward KL',
    note: 'KL(teacher || student) of a token: how unlikely for the student is what the teacher would say.',
    y: 'nats',
  },
  kl: { name: 'KL', note: 'How far the policy is from the reference model.', y: 'nats' },
  entropy: {
    name: 'Entropy',
    note: 'How undecided the model is at a token. Near zero all samples are alike.',
    y: 'nats',
  },
  'completions/mean_length': { name: 'Length', note: 'The mean length of completions.', y: 'tokens' },
  'completions/clipped_ratio': {
    name: 'Cut off',
    note: 'The share of completions that did not end by themselves.',
    isShare: true,
  },
  on_policy: {
    name: 'On-policy',
    note: "The share of a step's completions that the student sampled itself.",
    isShare: true,
  },
  grad_norm: { name: 'Gradient norm', note: 'Before clipping. Sudden peaks mean that training is unstable.' },
  learning_rate: { name: 'Learning rate', note: 'What each step was made with.' },
}

const policyLossNote = 'The loss of a policy gradient need not fall where the model learns: look at the reward.'

/** Two metrics that are read against each other. */
const pairs: readonly { names: readonly [string, string]; title: string; note: string }[] = [
  {
    names: ['rewards/chosen', 'rewards/rejected'],
    title: 'Rewards of both sides',
    note: 'Of better and worse responses. If both fall, the model unlearns the better ones too, only more slowly.',
  },
  {
    names: ['logps/chosen', 'logps/rejected'],
    title: 'Log-probs of both sides',
    note: 'How likely the model makes better and worse responses, in nats.',
  },
]

/** Numbers that say how far a run is, not how well it goes. */
const counters = /^(?:total_steps|epoch|num_tokens|seconds|tokens_per_second|iteration|rollout|update|time\/.*)$/

const isMetric = (name: string) => !counters.test(name.replace(/^eval_/, ''))

/** Names of what training or evaluations measured, without `eval_`, the most telling first. */
export const shownMetrics = (curves: Curves): string[] => {
  const found = new Set([...curves.keys()].filter(isMetric).map((name) => name.replace(/^eval_/, '')))
  const known = Object.keys(meanings)
  return [...known.filter((name) => found.has(name)), ...[...found].filter((name) => !known.includes(name)).sort()]
}

/** Whether the page says what a metric is. */
export const isExplained = (name: string): boolean => Object.hasOwn(meanings, name)

export const labelOf = (name: string): string => (isExplained(name) ? meanings[name].name : name)

/** How a metric is read; empty where the page does not say. */
export const noteOf = (name: string): string => (isExplained(name) ? meanings[name].note : '')

/** A value of a metric: a share in percent. */
export const shownValue = (name: string, value: number): string =>
  isExplained(name) && meanings[name].isShare ? percent(value).replace(' ', '\u00a0') : formatNumber(value)

type Panel = { chart: Chart; note: Html }

/** Fewer measurements are one line; more are a faint one and a smoothed one. */
const fewPoints = 30

const panel = (curves: Curves, name: string): Panel | undefined => {
  const trained = curves.get(name) ?? []
  const held = curves.get(`eval_${name}`) ?? []
  if (trained.length < 2 && held.length < 2) return undefined
  const { name: title, note, y, guide, isShare }: Meaning = meanings[name] ?? { name, note: '' }
  const single = name === 'learning_rate' || trained.length < fewPoints
  const training = single ? [{ name: 'training', points: trained, color: 0 }] : measured('step', trained)
  return {
    chart: {
      title,
      x: 'step',
      y: y ?? '',
      series: [
        ...(trained.length > 1 ? training : []),
        ...(held.length > 1 ? [{ name: 'held out', points: held, color: 1 }] : []),
      ],
      ...(isShare && { range: [0, 1] }),
      guides: [...(guide ? [guide] : []), ...(held.length === 1 ? [{ value: held[0][1], name: 'held out' }] : [])],
    },
    note: html`${name === 'loss' && curves.has('reward') ? policyLossNote : note}`,
  }
}

const pairPanel = (curves: Curves, { names, title, note }: (typeof pairs)[number]): Panel | undefined => {
  const series = names.map((name) => curves.get(name) ?? [])
  if (series.some(({ length }) => length < 2)) return undefined
  const curve = (points: readonly Point[]) => (points.length < fewPoints ? points : smooth(points))
  return {
    chart: {
      title,
      x: 'step',
      y: 'nats',
      series: series.map((points, i) => ({ name: names[i].split('/')[1], points: curve(points), color: i })),
    },
    note: html`${note}`,
  }
}

/** Metrics with a meaning of their own, and all others; undefined where there are none. */
export const runCharts = (curves: Curves): { main?: Html; more?: Html } => {
  const paired = pairs.map((pair) => ({ pair, panel: pairPanel(curves, pair) })).filter(({ panel }) => panel)
  const inPairs = new Set<string>(paired.flatMap(({ pair }) => pair.names))
  const names = shownMetrics(curves)
  const panelsOf = (some: readonly string[]) =>
    some.map((name) => panel(curves, name)).filter((each) => each !== undefined)
  const late = ['grad_norm', 'learning_rate']
  const main = [
    ...panelsOf(names.filter((name) => isExplained(name) && !late.includes(name))),
    ...paired.map(({ panel }) => panel!),
    ...panelsOf(late),
  ]
  const more = panelsOf(names.filter((name) => !isExplained(name) && !inPairs.has(name)))
  return {
    ...(main.length && { main: chartGrid(main) }),
    ...(more.length && {
      more: html`<p class="soft">${plural(more.length, 'metric')} by the names of the log.</p>${chartGrid(more)}`,
    }),
  }
}
