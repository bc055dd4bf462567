/** The metrics that a run logged, as curves over its steps. */
import { runEvents } from './find.node.ts'
import type { LoggedEvent } from './log.node.ts'

/** Values by step of each metric that a run logged. */
export type Curves = ReadonlyMap<string, readonly (readonly [step: number, value: number])[]>

/** Metrics of steps by their names, those of evaluations with `eval_` before them. Throws Faults of `runEvents`. */
export const curvesOf = async (dir: string): Promise<Curves> => {
  const events: LoggedEvent[] = []
  for await (const event of runEvents(dir)) if (event.event === 'step' || event.event === 'eval') events.push(event)
  return curvesIn(events)
}

/** The same of events that are read already; others than steps and evaluations are passed over. */
export const curvesIn = (events: readonly LoggedEvent[]): Curves => {
  const curves = new Map<string, (readonly [number, number])[]>()
  for (const { event, step, ...metrics } of events) {
    if ((event !== 'step' && event !== 'eval') || typeof step !== 'number') continue
    for (const [name, value] of Object.entries(metrics)) {
      if (typeof value !== 'number') continue
      if (!curves.has(name)) curves.set(name, [])
      curves.get(name)!.push([step, value])
    }
  }
  return curves
}
