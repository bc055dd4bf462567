/** The diagnostics of a run from its events: each warning of diagnostics.ts is given once, also over a resume. */
import { join } from 'node:path'
import type { EndEvent, StartEvent, WarningEvent } from '../../runs/events.ts'
import { readLog } from '../../runs/log.node.ts'
import { eventsFile, type Run } from '../../runs/run.node.ts'
import { diagnoseEnd, diagnoseEval, diagnoseStart, diagnoseStep, type History, record } from './diagnostics.ts'

export type RunDiagnostics = {
  /** To be called when the `start` event is stored. Where a checkpoint is resumed, the steps before it are read from the log. */
  start(event: StartEvent, resumed: boolean): Promise<WarningEvent[]>
  /** The warnings that an event is the first to give: of an `end` to be stored before it, of others after. */
  diagnose(event: { event: string; [field: string]: unknown }): WarningEvent[]
}

export const noDiagnostics: RunDiagnostics = { start: async () => [], diagnose: () => [] }

export const makeRunDiagnostics = (
  method: string,
  config: Readonly<Record<string, unknown>>,
  run: Run,
): RunDiagnostics => {
  const history: History = { steps: [], evals: [] }
  const given = new Set<string>()
  const once = (warnings: readonly WarningEvent[]) =>
    warnings.filter(({ code }) => {
      const isNew = !given.has(code)
      given.add(code)
      return isNew
    })
  const diagnose: RunDiagnostics['diagnose'] = (event) => {
    if (event.event === 'end') return (event as EndEvent).stopped === 'interrupted' ? [] : once(diagnoseEnd(history))
    record(history, event)
    if (event.event === 'step') return once(diagnoseStep(history))
    return event.event === 'eval' ? once(diagnoseEval(history)) : []
  }
  return {
    async start(event, resumed) {
      if (!resumed) return once(diagnoseStart(method, config, event))
      for await (const logged of readLog(join(run.dir, eventsFile))) diagnose(logged)
      return []
    },
    diagnose,
  }
}
