/**
 * A rollout as rows, a line for each sample: what was asked and answered, with every number that the updates learn from.
 * Peculiar: it is what a resumed run reads where the policy that sampled is gone, and what a reader recomputes a step from
 * (docs/runs.md), so both see the same numbers.
 */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { PromptExample } from '../../data/prompts.ts'
import { sampleSchema } from '../../generate/completionSampler.ts'
import { openLines, writeLines } from '../../store/lines.node.ts'
import { badInput } from '../../util/fault.ts'
import { writeWhole } from '../../util/files.node.ts'
import { readSealed, sealedFile } from '../../util/sealed.node.ts'
import type { ExperienceResult } from './experience.ts'

export type StoredRollout = Pick<ExperienceResult, 'batch' | 'measures'>

const column = z.union([z.number(), z.array(z.number())])

/** The fields that are read again; columns stand beside them by their names, in snake case. */
const rowSchema = z.looseObject({
  group: z.number(),
  sample: z.number(),
  completion: z.string().optional(),
  ids: z.array(z.number()),
  finish_reason: sampleSchema.shape.finish_reason,
  decoder_logps: z.array(z.number()),
  reward: z.number().nullable(),
  counts: z.boolean(),
})

const headSchema = z.object({
  samples: z.number(),
  per_prompt: z.number(),
  columns: z.array(z.string()),
  measures: z.record(z.string(), z.number()),
})

export const rowsFile = 'rows.jsonl'
const headPath = (folder: string) => join(folder, 'rollout.json')

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/**
 * @param folder the rollout's
 * @param rows number of each prompt's row in the data
 * @param isReadAgain later updates are still to come, which read it
 */
export const storeRollout = async (
  folder: string,
  { batch, measures, inputs }: Pick<ExperienceResult, 'batch' | 'measures' | 'inputs'>,
  rows: readonly number[],
  isReadAgain: boolean,
) => {
  const { rollout, columns } = batch
  const finite = Object.fromEntries(Object.entries(measures).filter(([, value]) => Number.isFinite(value)))
  const head: z.infer<typeof headSchema> = {
    samples: rollout.samples.length,
    per_prompt: rollout.perPrompt,
    columns: Object.keys(columns),
    measures: finite,
  }
  const path = headPath(folder)
  if (isReadAgain) await writeWhole(path, sealedFile(path, head))
  const lines = rollout.samples.map((_, i) => rowOf({ batch, inputs }, rows, i))
  await writeLines(join(folder, rowsFile), lines)
}

const orNull = (value: number) => (Number.isFinite(value) ? value : null)

const rowOf = (
  { batch, inputs }: Pick<ExperienceResult, 'batch' | 'inputs'>,
  rows: readonly number[],
  i: number,
): object => {
  const { rollout, columns, mask, rewards } = batch
  const { prompt: group, sample, text, ids, logps, finish_reason } = rollout.samples[i]
  const { prompt, ids: promptIds } = rollout.prompts[group]
  const { oldLogps, refLogps, scored } = inputs
  const each = Object.entries(columns).map(([name, values]) => [snake(name), values[i]])
  return {
    ...{ row: rows[group], group, sample, prompt, prompt_ids: promptIds },
    ...(text !== undefined && { completion: text }),
    ...{ ids, finish_reason, decoder_logps: logps },
    ...(oldLogps && { old_logps: oldLogps[i] }),
    ...(refLogps && { ref_logps: refLogps[i] }),
    rewards: Object.fromEntries(Object.entries(scored.by).map(([name, values]) => [name, orNull(values[i])])),
    ...(scored.sigmas && { sigma: orNull(scored.sigmas[i]) }),
    ...{ reward: rewards[i], counts: mask[i] },
    ...Object.fromEntries(each),
  } satisfies z.input<typeof rowSchema>
}

/** What `keepRollout` kept. Throws a Fault 'bad-run' where it is not there, or is not what was written. */
export const readRollout = async (folder: string, prompts: readonly PromptExample[]): Promise<StoredRollout> => {
  const head = headSchema.safeParse(await readSealed(headPath(folder))).data
  if (!head) throw lost(headPath(folder))
  const path = join(folder, rowsFile)
  const rows = await readRows(path, head.samples)
  if (rows.length !== head.samples || rows.length !== prompts.length * head.per_prompt) throw lost(path)
  const columnOf = (name: string) => z.array(column).safeParse(rows.map((row) => row[snake(name)])).data
  const columns = head.columns.map((name) => [name, columnOf(name)])
  if (columns.some(([, values]) => values === undefined)) throw lost(path)
  const samples = rows.map(({ group, sample, ids, decoder_logps: logps, completion: text, finish_reason }) => ({
    ...{ prompt: group, sample, ids, logps, finish_reason },
    ...(text !== undefined && { text }),
  }))
  const batch = {
    rollout: { prompts, samples, perPrompt: head.per_prompt },
    columns: Object.fromEntries(columns),
    mask: rows.map(({ counts }) => counts),
    rewards: rows.map(({ reward }) => reward),
  }
  return { batch, measures: head.measures }
}

const readRows = async (path: string, total: number) => {
  if (!(await stat(path).catch(() => undefined))) throw lost(path)
  const file = await openLines(path, { schema: rowSchema, total, group: 1 })
  try {
    const rows: z.infer<typeof rowSchema>[] = []
    for (let i = 0; i < file.length; i++) rows.push(await file.read(i))
    return rows
  } finally {
    await file.close()
  }
}

const lost = (file: string) => badInput('bad-run', 'was lost or is not what was written; begin a new run', { file })
