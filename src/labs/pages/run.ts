/** What a run's log says, as curves and as a page. */

import { chartGrid } from '../../report/figures.ts'
import { html } from '../../report/html.ts'
import { type Chart, measured, type Point } from '../../report/lineChart.ts'
import { facts, page } from '../../report/page.ts'
import { type RunSummary, readRun, runEvents } from '../../runs/find.node.ts'
import type { LoggedEvent } from '../../runs/log.node.ts'

/** Values by step for each measure that a run logged. */
export type Curves = ReadonlyMap<string, readonly Point[]>

/** Measures of steps by their names, those of evaluations as eval_... Throws Faults of `readRun`. */
export const curvesOf = async (dir: string): Promise<Curves> => {
  const curves = new Map<string, Point[]>()
  for await (const event of runEvents(dir)) if (event.event === 'step' || event.event === 'eval') collect(curves, event)
  return curves
}

const collect = (curves: Map<string, Point[]>, { step, ...measures }: LoggedEvent) => {
  for (const [name, value] of Object.entries(measures)) {
    if (typeof value !== 'number' || typeof step !== 'number') continue
    if (!curves.has(name)) curves.set(name, [])
    curves.get(name)!.push([step, value])
  }
}

/** Measures that are worth a chart, and what they measure. */
const charted: readonly { name: string; title: string; y: string; note: string }[] = [
  { name: 'loss', title: 'Loss', y: 'nats', note: 'What training makes small.' },
  {
    name: 'mean_token_accuracy',
    title: 'Tokens predicted',
    y: 'share',
    note: 'How often the likeliest token is the right one.',
  },
  {
    name: 'rewards/margins',
    title: 'Reward margin',
    y: 'nats',
    note: 'How far better replies are ahead of worse ones, measured from the reference.',
  },
  {
    name: 'rewards/accuracies',
    title: 'Replies in the right order',
    y: 'share',
    note: 'How often the better reply of two has the higher reward.',
  },
  { name: 'grad_norm', title: 'Gradient norm', y: 'before clipping', note: 'Spikes are batches that pull hard.' },
  { name: 'learning_rate', title: 'Learning rate', y: 'of the step', note: 'As the schedule has it.' },
]

const chartsOf = (curves: Curves): { chart: Chart; note: ReturnType<typeof html> }[] =>
  charted
    .filter(({ name }) => curves.has(name))
    .map(({ name, title, y, note }) => {
      const held = curves.get(`eval_${name}`)
      const series = measured('step', curves.get(name)!)
      if (held) series.push({ name: 'held-out rows', points: held, color: 1 })
      return { chart: { title, x: 'step', y, series }, note: html`${note}` }
    })

/** A page about a run. Throws Faults of `readRun`. */
export const reportOf = async (dir: string): Promise<string> => {
  const run = await readRun(dir)
  const settings = Object.entries(run.info.config).map(([name, value]) => [name, JSON.stringify(value)] as const)
  return page({
    title: `attune ${run.info.method}: ${run.name}`,
    body: [
      html`<header><p class="kicker">attune ${run.info.method}</p><h1>${run.name}</h1></header>`,
      facts(about(run)),
      chartGrid(chartsOf(await curvesOf(dir))),
      html`<h2>Settings</h2>`,
      facts(settings),
    ],
  })
}

const about = ({ info, state, steps, totalSteps, result }: RunSummary): [string, string][] => [
  ['state', state],
  ['steps', `${steps} of ${totalSteps}`],
  ['begun', info.created.slice(0, 16).replace('T', ' ')],
  ['model', String(info.config.model ?? '')],
  ['result', result?.path ?? 'none yet'],
]
