/** Logged metrics as curves over the steps of a run. */
import type { LoggedEvent } from './log.node.ts'

/** Values by step of each metric that a run logged. */
export type Curves = ReadonlyMap<string, readonly (readonly [step: number, value: number])[]>

/** First and last value of a curve. No first of a single one: it would read as if nothing had changed. */
export const endsOf = (points: readonly (readonly [number, number])[] = []): { first?: number; last?: number } => ({
  ...(points.length > 1 && { first: points[0][1] }),
  ...(points.length > 0 && { last: points.at(-1)![1] }),
})

/** Metrics of steps by their names, those of evaluations with `eval_` before them; other events are passed over. */
export const curvesIn = (events: readonly LoggedEvent[]): Curves => {
  const curves = new Map<string, (readonly [number, number])[]>()
  for (const event of events) addPoints(curves, event)
  return curves
}

/** Adds the numbers of a step or of an evaluation. @param names the metrics to add; all by default */
export const addPoints = (
  curves: Map<string, (readonly [number, number])[]>,
  { event, step, ...metrics }: LoggedEvent,
  names?: ReadonlySet<string>,
): void => {
  if ((event !== 'step' && event !== 'eval') || typeof step !== 'number') return
  for (const [name, value] of Object.entries(metrics)) {
    if (typeof value !== 'number' || names?.has(name) === false) continue
    if (!curves.has(name)) curves.set(name, [])
    curves.get(name)!.push([step, value])
  }
}
