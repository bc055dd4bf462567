/** The metrics that a run logged, as curves over its steps. */
import type { Point } from '../report/lineChart.ts'
import { runEvents } from '../runs/find.node.ts'
import type { LoggedEvent } from '../runs/log.node.ts'

/** Values by step of each metric that a run logged. */
export type Curves = ReadonlyMap<string, readonly Point[]>

/** Metrics of steps by their names, those of evaluations with `eval_` before them. Throws Faults of `runEvents`. */
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
