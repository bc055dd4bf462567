/** The metrics that a run logged, as curves over its steps. */
import { type Curves, curvesIn } from './curves.ts'
import { runEvents } from './find.node.ts'
import type { LoggedEvent } from './log.node.ts'

/** Throws Faults of `runEvents`. */
export const curvesOf = async (dir: string): Promise<Curves> => {
  const events: LoggedEvent[] = []
  for await (const event of runEvents(dir)) if (event.event === 'step' || event.event === 'eval') events.push(event)
  return curvesIn(events)
}
