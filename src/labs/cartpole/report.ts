/** The lab's report as an HTML page: the conclusions, the pole before and after training, the curves and the tables. */

import { figure } from '../../report/figures.ts'
import { type Html, html, raw } from '../../report/html.ts'
import { page, shell, table } from '../../report/page.ts'
import type { Plot, PlotSeries } from '../../report/plot.ts'
import { whole } from '../../util/format.ts'
import { type Finding, runCurve, window } from './findings.ts'
import { initNetwork, type Network } from './network.ts'
import { episode, replay } from './replay.ts'
import type { RunResult } from './run.ts'
import { type Method, methodNotes, type Settings } from './settings.ts'

export type LabResults = {
  results: readonly RunResult[]
  findings: readonly Finding[]
  conclusions: readonly string[]
  settings: Settings
  command: readonly string[]
}

const names: Record<Method, string> = {
  reinforce: 'REINFORCE',
  'reinforce-batch': 'REINFORCE, batch',
  ppo: 'PPO',
  'ppo-resampled': 'tutorial PPO',
  'ppo-resampled-only': 'drawn anew',
  'ppo-crossed-only': 'crossed',
  'ppo-mended': 'both mended',
}
const colors: Record<Method, number> = {
  reinforce: 2,
  'reinforce-batch': 3,
  ppo: 0,
  'ppo-resampled': 1,
  'ppo-resampled-only': 4,
  'ppo-crossed-only': 5,
  'ppo-mended': 0,
}

/** @returns the page, and its plots by the names of their files */
export const cartpoleReport = (lab: LabResults): { html: string; plots: Record<string, Plot> } => {
  const plots = plotsOf(lab)
  return {
    plots,
    html: page({
      title: 'attune cartpole: policy gradients',
      body: [
        html`<header><p class="kicker">attune cartpole</p><h1>Policy gradients on a pole</h1>
${lab.conclusions.map((text) => html`<p class="lead">${text}</p>`)}</header>`,
        replays(lab.results),
        ...Object.entries(plots).map(([name, plot]) => figure(plot, notes[name])),
        html`<h2>All seeds</h2>`,
        summary(lab.findings),
        ...lab.findings.map(seedTable),
        html`<h2>Again</h2>`,
        shell(lab.command.join(' ')),
      ],
    }),
  }
}

const notes: Record<string, string> = {
  'by-step': `Mean length of the last ${window} episodes, over seeds, with 95 % intervals (Student's t). A run that has ended stays where it ended.`,
  'by-episode': `The same against episodes: REINFORCE as in the tutorial, and the tutorial's PPO, which stays at the length of random actions.`,
  tutorial: `The tutorial's PPO with each of its two faults alone. Drawn anew: log-probs are recomputed for newly sampled actions, not for those that were played. Crossed: every ratio is multiplied with every advantage of the episode.`,
  seeds: 'REINFORCE, one curve a seed: what a mean over seeds hides.',
}

const plotsOf = ({ findings, results }: LabResults): Record<string, Plot> => {
  const y = { name: `steps an episode, mean of the last ${window}` }
  const series = (x: 'byStep' | 'byEpisode', methods: readonly Method[]): PlotSeries[] =>
    findings
      .filter(({ method }) => methods.includes(method))
      .map((finding) => ({ name: names[finding.method], color: colors[finding.method], ...finding[x] }))
  const reinforce = results.filter(({ method }) => method === 'reinforce')
  const all: Record<string, Plot> = {
    'by-step': {
      title: 'Length of an episode against steps of the environment',
      x: { name: 'steps of the environment, all poles together', log: true },
      y,
      series: series('byStep', ['ppo', 'reinforce', 'reinforce-batch', 'ppo-resampled']),
    },
    'by-episode': {
      title: "The tutorial's two: REINFORCE and its PPO",
      x: { name: 'episode' },
      y,
      series: series('byEpisode', ['reinforce', 'ppo-resampled']),
    },
    tutorial: {
      title: "The tutorial's PPO, mended step by step",
      x: { name: 'episode' },
      y,
      series: series('byEpisode', ['ppo-resampled', 'ppo-resampled-only', 'ppo-crossed-only', 'ppo-mended']),
    },
    seeds: {
      title: 'REINFORCE, seed by seed',
      x: { name: 'episode' },
      y,
      series: reinforce.map((run, i) => ({ name: `seed ${run.seed}`, color: i % 6, points: runCurve(run) })),
    },
  }
  return Object.fromEntries(Object.entries(all).filter(([, plot]) => plot.series.length))
}

/** An episode of the best run's policy before training, and one with its best weights. */
const replays = (results: readonly RunResult[]): Html => {
  const best = results.reduce((a, b) => (b.best.mean > a.best.mean ? b : a))
  const play = (policy: Network) => [...episode(policy, best.seed + 2 ** 40)]
  const before = play(initNetwork(2, best.seed, 1))
  const after = play({ outputs: 2, weights: Float64Array.from(best.best.weights) })
  const shown = (title: string, states: typeof before) => html`<figure>
<figcaption><h3>${title}</h3><p>${String(states.length - 1)} steps of at most 500, in real time.</p></figcaption>
${raw(replay(title, states))}
</figure>`
  return html`<div class="charts">
${shown('Before training', before)}
${shown(`${names[best.method]}, seed ${best.seed}, best weights`, after)}
</div>`
}

const summary = (findings: readonly Finding[]): Html =>
  table(
    [
      ['', 'at 475, best weights', 'at 475, training', 'steps a run', 'steps a second'],
      ...findings.map(({ method, runs, reached, solved, stepsPerSecond }) => [
        methodNotes[method],
        `${reached} of ${runs.length}`,
        `${solved} of ${runs.length}`,
        whole(runs.reduce((sum, { steps }) => sum + steps, 0) / runs.length),
        whole(stepsPerSecond),
      ]),
    ],
    ['', 'n', 'n', 'n', 'n'],
  )

const seedTable = ({ method, runs }: Finding): Html => html`<h3>${methodNotes[method]}</h3>
${table(
  [
    ['seed', 'best weights, 100 fresh episodes', 'after episode', 'last 100 in training at 475'],
    ...runs.map(({ seed, mean, bestEpisode, solved }) => [
      String(seed),
      mean.toFixed(1),
      whole(bestEpisode),
      solved === undefined ? 'never' : `after ${whole(solved)}`,
    ]),
  ],
  ['n', 'n', 'n', 'n'],
)}`
