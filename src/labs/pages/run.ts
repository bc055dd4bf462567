/** The page of a run: curves of its logged metrics, and its settings. */
import { chartGrid } from '../../report/figures.ts'
import { html } from '../../report/html.ts'
import { type Chart, measured, type Point } from '../../report/lineChart.ts'
import { facts, page } from '../../report/page.ts'
import { type RunSummary, readRun, runEvents } from '../../runs/find.node.ts'
import type { LoggedEvent } from '../../runs/log.node.ts'

/** Values by step of each metric that a run logged. */
export type Curves = ReadonlyMap<string, readonly Point[]>

/** Metrics of steps by their names, those of evaluations with `eval_` before them. Throws Faults of `readRun`. */
export const curvesOf = async (dir: string): Promise<Curves> => {
  const curves = new Map<string, Point[]>()
  for await (const event of runEvents(dir)) if (event.event === 'step' || event.event === 'eval') collect(curves, event)
  return curves
}

const collect = (curves: Map<string, Point[]>, { step, ...metrics }: LoggedEvent) => {
  for (const [name, value] of Object.entries(metrics)) {
    if (typeof value !== 'number' || typeof step !== 'number') continue
    if (!curves.has(name)) curves.set(name, [])
    curves.get(name)!.push([step, value])
  }
}

/** The metrics that are drawn. */
const charted: readonly { name: string; title: string; y: string; note: string }[] = [
  { name: 'loss', title: 'Loss', y: 'nats', note: 'What training minimizes.' },
  {
    name: 'mean_token_accuracy',
    title: 'Tokens predicted',
    y: 'share',
    note: 'How often the most probable token is the right one.',
  },
  {
    name: 'rewards/margins',
    title: 'Reward margin',
    y: 'nats',
    note: 'Reward of the better response less that of the worse one, relative to the reference model.',
  },
  {
    name: 'rewards/accuracies',
    title: 'Responses in the right order',
    y: 'share',
    note: 'How often the better response of two has the higher reward.',
  },
  {
    name: 'grad_norm',
    title: 'Gradient norm',
    y: 'before clipping',
    note: 'A spike is a batch with an unusually large gradient.',
  },
  { name: 'learning_rate', title: 'Learning rate', y: 'of the step', note: 'As the schedule sets it.' },
]

const chartsOf = (curves: Curves): { chart: Chart; note: ReturnType<typeof html> }[] =>
  charted
    .filter(({ name }) => curves.has(name))
    .map(({ name, title, y, note }) => {
      const evalCurve = curves.get(`eval_${name}`)
      const series = measured('step', curves.get(name)!)
      if (evalCurve) series.push({ name: 'held-out rows', points: evalCurve, color: 1 })
      return { chart: { title, x: 'step', y, series }, note: html`${note}` }
    })

/** @returns a self-contained page. Throws Faults of `readRun`. */
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
