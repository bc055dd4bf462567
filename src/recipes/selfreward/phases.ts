/**
 * The phases that a run has finished, one line each, with the log as it was then. A resumed run cuts its log back to the last
 * one and skips all of them; a phase that was broken off goes on from its own files.
 */
import { z } from 'zod'
import { type LineFile, openLines } from '../../store/lines.node.ts'
import { type Phase, pathIn, type SelfRewardContext } from './context.ts'

const phaseSchema = z.object({
  phase: z.string(),
  /** Optimizer steps of the run so far. */
  steps: z.number().int().nonnegative(),
  /** Lines of the file that it wrote, where a later phase reads it. */
  lines: z.number().int().nonnegative().optional(),
  log: z.object({ bytes: z.number().int().nonnegative(), sha256: z.string() }),
})
type Finished = z.infer<typeof phaseSchema>

export type Phases = {
  /** The phases that are finished, in order. */
  readonly finished: readonly Finished[]
  /** Runs a phase unless it is finished. @returns false where it was interrupted */
  run(name: string, work: () => Phase | Promise<boolean>): Phase
}

const open = (context: Pick<SelfRewardContext, 'run'>): Promise<LineFile<Finished>> =>
  openLines(pathIn(context, 'phases.jsonl'), { schema: phaseSchema, total: Number.POSITIVE_INFINITY, group: 1 })

/** The last phase of a run that is resumed; undefined where none is finished. */
export const lastPhase = async (context: Pick<SelfRewardContext, 'run'>): Promise<Finished | undefined> => {
  const file = await open(context)
  try {
    return file.length ? await file.read(file.length - 1) : undefined
  } finally {
    await file.close()
  }
}

export const openPhases = async (context: SelfRewardContext): Promise<Phases & { close(): Promise<void> }> => {
  const file = await open(context)
  const finished: Finished[] = []
  for (let i = 0; i < file.length; i++) finished.push(await file.read(i))
  return {
    finished,
    async *run(name, work) {
      const known = finished.find(({ phase }) => phase === name)
      if (known) {
        context.steps.before = known.steps
        if (known.lines !== undefined) context.lines.set(name, known.lines)
        return true
      }
      if (context.signal.aborted) return false
      const working = work()
      if (!(working instanceof Promise ? await working : yield* working)) return false
      const log = await context.run.sync()
      const lines = context.lines.get(name)
      const line = { phase: name, steps: context.steps.before, ...(lines !== undefined && { lines }), log }
      await file.append([line])
      finished.push(line)
      return true
    },
    close: () => file.close(),
  }
}
