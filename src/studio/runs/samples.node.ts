/** What a run wrote to the same prompts at different steps: from its log, and from samples.json before and after training. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { readSamples, samplesFile } from '../../recipes/trainer/samples.ts'
import { resultStep } from '../../runs/resultStep.ts'
import type { RunSamples, SampleRow } from './api.ts'
import type { Mark } from './logIndex.node.ts'
import type { OpenRun } from './store.node.ts'

/** So many samples are read of a log, at most, from steps that are spread evenly. */
const mostSamples = 1500
const mostPrompts = 200

export const samplesOf = async ({ dir, info, log }: OpenRun): Promise<RunSamples> => {
  const byPrompt = new Map<string, SampleRow[]>()
  const add = (prompt: string, row: SampleRow) => {
    const rows = byPrompt.get(prompt)
    if (rows) rows.push(row)
    else if (byPrompt.size < mostPrompts) byPrompt.set(prompt, [row])
  }
  const isFile = await lstat(join(dir, samplesFile)).catch(() => undefined)
  const around = isFile?.isFile() ? await readSamples(dir) : undefined
  for (const { prompt, before } of around?.samples ?? []) add(prompt, { step: 0, completion: before })
  for (const { step, prompt, completion, reward } of await log.read(spread(log.marks)))
    add(String(prompt), {
      ...{ step: Number(step) || 0, completion: String(completion) },
      ...(typeof reward === 'number' && { reward }),
    })
  const [end] = await log.read(log.marks.filter(({ event }) => event === 'end').slice(-1))
  const last = end ? resultStep(end, info.config) : (log.steps.column('step')?.at(-1) ?? 0)
  for (const { prompt, after } of around?.samples ?? [])
    if (after !== undefined) add(prompt, { step: last, completion: after })
  const steps = new Set([...byPrompt.values()].flatMap((rows) => rows.map(({ step }) => step)))
  return {
    ...(around?.none !== undefined && { none: around.none }),
    steps: [...steps].sort((a, b) => a - b),
    prompts: [...byPrompt].map(([prompt, rows]) => ({ prompt, rows })),
  }
}

/** The samples of all steps, or of as many steps as there is room for, the first and the last among them. */
const spread = (marks: readonly Mark[]): Mark[] => {
  const samples = marks.filter(({ event }) => event === 'sample')
  if (samples.length <= mostSamples) return samples
  const steps = [...new Set(samples.map(({ step }) => step))]
  const kept = Math.max(2, Math.floor((steps.length * mostSamples) / samples.length))
  const chosen = new Set(
    Array.from({ length: kept }, (_, i) => steps[Math.round((i * (steps.length - 1)) / (kept - 1))]),
  )
  return samples.filter(({ step }) => chosen.has(step)).slice(0, 2 * mostSamples)
}
