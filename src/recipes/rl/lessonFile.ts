/**
 * What a rollout taught, in its folder, for the updates after the first: the policy that it speaks of is gone by then. The
 * samples lie beside it.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { badInput } from '../../util/fault.ts'
import { writeWhole } from '../../util/files.node.ts'
import type { Learnt } from './experience.ts'
import type { Ground } from './ground.ts'
import type { PromptExample } from './prompts.ts'
import { rollOut } from './rollout.ts'

const keptSchema = z.object({
  columns: z.record(z.string(), z.array(z.union([z.number(), z.array(z.number())]))),
  counts: z.array(z.boolean()),
  rewards: z.array(z.number().nullable()),
  measures: z.record(z.string(), z.number()),
})

export type Kept = Pick<Learnt, 'lesson' | 'measures'>

const pathIn = (folder: string) => join(folder, 'lesson.json')

/** @param folder the rollout's */
export const keepLesson = async (folder: string, { lesson, measures }: Kept) => {
  const { columns, counts, rewards } = lesson
  const known = Object.fromEntries(Object.entries(measures).filter(([, value]) => Number.isFinite(value)))
  const text = JSON.stringify({ columns, counts, rewards, measures: known } satisfies z.infer<typeof keptSchema>)
  await writeWhole(pathIn(folder), [new TextEncoder().encode(text)])
}

/** What `keepLesson` kept of a rollout whose samples are all there. Throws a Fault 'bad-run' where it was not. */
export const keptLesson = async (
  { scheduler, encoding, settings, signal }: Ground,
  folder: string,
  prompts: readonly PromptExample[],
): Promise<Kept> => {
  const path = pathIn(folder)
  const lost = () => badInput('bad-run', 'was lost or altered; begin a new run', { file: path })
  const text = await readFile(path, 'utf8').catch(() => {
    throw lost()
  })
  const { data } = keptSchema.safeParse(JSON.parse(text))
  const work = rollOut({ scheduler, encoding, settings, seed: 0, dir: folder, signal }, prompts)
  const { done, value } = await work.next()
  if (!data || !done || !value) throw lost()
  const { measures, ...lesson } = data
  return { lesson: { rollout: value, ...lesson }, measures }
}
