/**
 * The rollout buffer: the rollout that the updates learn from, where the run is in it, and its files in the run's folder.
 *
 * `rollouts/N/rows.jsonl` holds every number that the updates learn from, a line for each sample. A resumed run reads it,
 * since the policy that sampled is gone, and a reader can recompute a step from it (docs/runs.md). `rollout.json` is there
 * while later updates are still to read the rows. Rows stay after their rollout, or go with --no-keep-rollouts.
 */

import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type PromptExample, promptText } from '../../data/prompts.ts'
import { sampleSchema } from '../../generate/completionSampler.ts'
import { rewardPath } from '../../rewards/rewards.ts'
import type { SampleEvent, WarningEvent } from '../../runs/events.ts'
import { openLines, writeLines } from '../../store/lines.node.ts'
import type { StepEvent } from '../../train/loop.ts'
import { badInput } from '../../util/fault.ts'
import { writeWhole } from '../../util/files.node.ts'
import { readSealed, sealedFile } from '../../util/sealed.node.ts'
import type { RolloutState } from '../trainer/checkpoints.ts'
import type { RlContext } from './context.ts'
import { type Diagnostics, diagnose, diagnosticsOf } from './diagnostics.ts'
import type { Experience, ExperienceBatch, MethodState } from './method.ts'
import { promptsOfUpdates, promptsPerRollout, updatesPerRollout } from './minibatches.ts'
import { samplePath } from './rollout.ts'

/** The prompts of a rollout that is about to be made. */
export type RolloutPrompts = {
  /** Of the rollout, counted from 1. */
  number: number
  prompts: readonly PromptExample[]
  /** Number of each prompt's row in the data. */
  rows: readonly number[]
  /** Positions in the order of the rows, before and after these prompts. */
  start: number
  end: number
}

/** A rollout that is ready to be learnt from. */
export type CollectedExperience = {
  batch: ExperienceBatch
  /** What the batch was made from. */
  made: Pick<Experience, 'oldLogps' | 'refLogps' | 'by' | 'sigmas'>
  /** The method's, after this rollout. */
  state: MethodState
  metrics: Record<string, number>
}

/** One optimizer step's share of the rollout. */
export type Update = {
  /** Counted from 0 over the whole run. */
  number: number
  batch: ExperienceBatch
  /** The prompts to learn from, by their places in the batch. */
  promptNumbers: readonly number[]
  rows: readonly number[]
  /** The position in the order of the rows after the rollout's prompts. */
  position: number
  /** Tokens of the prompts with their samples. */
  tokens: number
}

export type RolloutBuffer = {
  isUsedUp(): boolean
  nextPrompts(position: number): Promise<RolloutPrompts>
  /** The method's, after the last rollout. */
  methodState(): MethodState
  /** Writes the rows of a rollout to disk. */
  store(prompts: RolloutPrompts, collected: CollectedExperience): Promise<void>
  /** From now on updates learn from this rollout. */
  fill(prompts: RolloutPrompts, collected: CollectedExperience): void
  /** Undefined where the buffer is used up. */
  nextUpdate(): Update | undefined
  /** Metrics of the rollout that the last update learnt from, and samples from it. */
  metrics(): Record<string, number>
  samples(step: number): SampleEvent[]
  /** After a step: what has gone wrong for the first time. Everything that goes wrong is counted. */
  diagnose(step: StepEvent): WarningEvent[]
  diagnostics(): Diagnostics
  /** What a checkpoint keeps. */
  state(): RolloutState
  /** Removes files that no later checkpoint needs. */
  tidy(): Promise<void>
}

/** @param resumed the state in the checkpoint that the run goes on from */
export const openRolloutBuffer = async (rl: RlContext, resumed?: RolloutState): Promise<RolloutBuffer> => {
  const { settings, trainPrompts, run } = rl
  let state: RolloutState = resumed ?? { number: 0, updates: 0, position: 0, state: {} }
  let current:
    | (Pick<RolloutPrompts, 'rows' | 'end'> & StoredRollout & { promptsOfUpdates: readonly number[][] })
    | undefined
  let tidied = 0
  const takePrompts = async (position: number, number: number): Promise<RolloutPrompts> => {
    const { examples, rows, position: end } = await trainPrompts.take(position, promptsPerRollout(settings))
    return { number, prompts: examples, rows, start: position, end }
  }
  const ordered = ({ number, prompts }: RolloutPrompts) => promptsOfUpdates(prompts.length, settings, number)
  if (state.number > 0) {
    const taken = await takePrompts(state.position, state.number)
    if (state.updates < ordered(taken).length) {
      const stored = await readRollout(rolloutFolder(run, state.number), taken.prompts)
      current = { rows: taken.rows, end: taken.end, promptsOfUpdates: ordered(taken), ...stored }
    }
  }
  const isUsedUp = () => !current || state.updates === current.promptsOfUpdates.length
  return {
    isUsedUp,
    async nextPrompts(position) {
      current = undefined
      return takePrompts(position, state.number + 1)
    },
    methodState: () => state.state,
    async store(prompts, collected) {
      const isReadAgain = ordered(prompts).length > 1
      if (settings.keepRollouts || isReadAgain)
        await storeRollout(rolloutFolder(run, prompts.number), collected, prompts.rows, isReadAgain)
    },
    fill(prompts, { batch, metrics, state: methodState }) {
      state = { number: prompts.number, updates: 0, position: prompts.start, state: { ...methodState } }
      current = { rows: prompts.rows, end: prompts.end, promptsOfUpdates: ordered(prompts), batch, metrics }
    },
    nextUpdate() {
      if (!current || isUsedUp()) return undefined
      const { batch, rows, end } = current
      const promptNumbers = current.promptsOfUpdates[state.updates]
      const number = (state.number - 1) * updatesPerRollout(settings) + state.updates
      state = { ...state, updates: state.updates + 1 }
      return {
        number,
        batch,
        promptNumbers,
        rows: promptNumbers.map((g) => rows[g]),
        position: end,
        tokens: tokensOf(batch, promptNumbers),
      }
    },
    metrics: () => ({
      rollout: state.number,
      // Only the first update of a rollout waits for its phases
      ...(current && state.updates > 1 ? withoutTimes(current.metrics) : current?.metrics),
    }),
    samples: (step) => (current ? sampleEvents(rl, current.batch, step) : []),
    diagnose(step) {
      if (state.updates > 1) return []
      // In a checkpoint the diagnostics stand under the key `watch`
      const { diagnostics, warnings } = diagnose(diagnosticsOf(state.state.watch), step)
      state = { ...state, state: { ...state.state, watch: diagnostics } }
      return warnings
    },
    diagnostics: () => diagnosticsOf(state.state.watch),
    state: () => state,
    async tidy() {
      await tidyRollouts(rl, tidied, state.number)
      tidied = state.number
    },
  }
}

const tokensOf = ({ rollout }: ExperienceBatch, promptNumbers: readonly number[]): number => {
  const G = rollout.perPrompt
  const samples = promptNumbers.flatMap((g) => rollout.samples.slice(g * G, (g + 1) * G))
  return samples.reduce((n, { prompt, ids }) => n + rollout.prompts[prompt].ids.length + ids.length, 0)
}

const withoutTimes = (metrics: Record<string, number>) =>
  Object.fromEntries(Object.entries(metrics).filter(([name]) => !name.startsWith('time/')))

/** Samples that are shown at a time. */
const shownSamples = 4

/** The best and the worst sample of the first prompts, and of a prompt whose samples all have one reward the first. */
const samplesToShow = ({ rollout, rewards }: ExperienceBatch): number[] => {
  const { perPrompt } = rollout
  const shown: number[] = []
  for (let first = 0; first < rollout.samples.length && shown.length < shownSamples; first += perPrompt) {
    const group = rollout.samples.slice(first, first + perPrompt).map((_, k) => first + k)
    const byReward = group.filter((i) => rewards[i] !== null).sort((a, b) => rewards[b]! - rewards[a]!)
    const [best = first, worst = best] = [byReward[0], byReward.at(-1)]
    shown.push(best, ...(rewards[worst] === rewards[best] ? [] : [worst]))
  }
  return shown.slice(0, shownSamples)
}

const sampleEvents = ({ tokenization }: RlContext, experience: ExperienceBatch, step: number): SampleEvent[] => {
  if (!tokenization.tokenizer) return []
  const { rollout, rewards } = experience
  return samplesToShow(experience).map((i) => {
    const { prompt, text = '' } = rollout.samples[i]
    const shown = promptText(tokenization, rollout.prompts[prompt].prompt)
    return { event: 'sample', step, prompt: shown, completion: text, reward: rewards[i] }
  })
}

// The files of a rollout

const rolloutsFolder = ({ dir }: RlContext['run']) => join(dir, 'rollouts')

/** Samples, rewards and rows of one rollout. */
export const rolloutFolder = (run: RlContext['run'], number: number) => join(rolloutsFolder(run), String(number))

const rowsPath = (folder: string) => join(folder, 'rows.jsonl')
const rolloutPath = (folder: string) => join(folder, 'rollout.json')

/** Removes what no later checkpoint needs of rollouts from..before. Where rows are kept, they hold all that the other files do. */
const tidyRollouts = async ({ run, settings }: RlContext, from: number, before: number): Promise<void> => {
  const names = await readdir(rolloutsFolder(run)).catch(() => [])
  for (const number of names.map(Number).filter((number) => number >= from && number < before)) {
    const folder = rolloutFolder(run, number)
    const hasRows = settings.keepRollouts && (await stat(rowsPath(folder)).catch(() => undefined))
    const paths = hasRows ? [samplePath(folder), rewardPath(folder)] : [folder]
    for (const path of paths) await rm(path, { recursive: true, force: true })
  }
}

type StoredRollout = Pick<CollectedExperience, 'batch' | 'metrics'>

/** The fields of a row that are read again. The batch's columns stand beside them by their names, in snake case. */
const rowSchema = z.looseObject({
  group: z.number(),
  sample: z.number(),
  completion: z.string().optional(),
  ids: z.array(z.number()),
  finish_reason: sampleSchema.shape.finish_reason,
  decoder_logps: z.array(z.number()),
  reward: z.number().nullable(),
  /** The batch's mask. */
  counts: z.boolean(),
})

const rolloutSchema = z.object({
  samples: z.number(),
  per_prompt: z.number(),
  columns: z.array(z.string()),
  measures: z.record(z.string(), z.number()),
})

const columnSchema = z.array(z.union([z.number(), z.array(z.number())]))

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** @param isReadAgain later updates are still to read it */
const storeRollout = async (
  folder: string,
  collected: CollectedExperience,
  rows: readonly number[],
  isReadAgain: boolean,
): Promise<void> => {
  const { rollout, columns } = collected.batch
  const header: z.infer<typeof rolloutSchema> = {
    samples: rollout.samples.length,
    per_prompt: rollout.perPrompt,
    columns: Object.keys(columns),
    measures: Object.fromEntries(Object.entries(collected.metrics).filter(([, value]) => Number.isFinite(value))),
  }
  const path = rolloutPath(folder)
  if (isReadAgain) await writeWhole(path, sealedFile(path, header))
  await writeLines(
    rowsPath(folder),
    rollout.samples.map((_, i) => rowOf(collected, rows, i)),
  )
}

const orNull = (value: number) => (Number.isFinite(value) ? value : null)

const rowOf = ({ batch, made }: CollectedExperience, rows: readonly number[], i: number): object => {
  const { rollout, columns, mask, rewards } = batch
  const { prompt: group, sample, text, ids, logps, finish_reason } = rollout.samples[i]
  const { prompt, ids: promptIds } = rollout.prompts[group]
  const { oldLogps, refLogps, by, sigmas } = made
  return {
    row: rows[group],
    group,
    sample,
    prompt,
    prompt_ids: promptIds,
    ...(text !== undefined && { completion: text }),
    ids,
    finish_reason,
    decoder_logps: logps,
    ...(oldLogps && { old_logps: oldLogps[i] }),
    ...(refLogps && { ref_logps: refLogps[i] }),
    rewards: Object.fromEntries(Object.entries(by).map(([name, values]) => [name, orNull(values[i])])),
    ...(sigmas && { sigma: orNull(sigmas[i]) }),
    reward: rewards[i],
    counts: mask[i],
    ...Object.fromEntries(Object.entries(columns).map(([name, values]) => [snakeCase(name), values[i]])),
  } satisfies z.input<typeof rowSchema>
}

/** What `storeRollout` wrote. Throws a Fault 'bad-run' where it is not there, or is not what was written. */
const readRollout = async (folder: string, prompts: readonly PromptExample[]): Promise<StoredRollout> => {
  const header = rolloutSchema.safeParse(await readSealed(rolloutPath(folder))).data
  if (!header) throw lost(rolloutPath(folder))
  const path = rowsPath(folder)
  const rows = await readRows(path, header.samples)
  if (rows.length !== header.samples || rows.length !== prompts.length * header.per_prompt) throw lost(path)
  const columns = header.columns.map((name) => {
    const values = columnSchema.safeParse(rows.map((row) => row[snakeCase(name)])).data
    if (!values) throw lost(path)
    return [name, values] as const
  })
  const samples = rows.map(({ group, sample, ids, decoder_logps, completion, finish_reason }) => ({
    prompt: group,
    sample,
    ids,
    logps: decoder_logps,
    finish_reason,
    ...(completion !== undefined && { text: completion }),
  }))
  return {
    batch: {
      rollout: { prompts, samples, perPrompt: header.per_prompt },
      columns: Object.fromEntries(columns),
      mask: rows.map(({ counts }) => counts),
      rewards: rows.map(({ reward }) => reward),
    },
    metrics: header.measures,
  }
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
