/**
 * New prompts of an iteration by self-instruction: rounds of attempts, each with its own examples. Whether a task is kept depends
 * on those before it alone, so a resumed run finds the same ones in the texts that are on the disk.
 */
import { z } from 'zod'
import { withoutTurn } from '../../data/chatRows.ts'
import type { Text } from '../../data/rows.ts'
import {
  askForTask,
  drawShots,
  type PromptFilter,
  promptFilter,
  type Rejection,
  tasksIn,
  wordLimits,
} from '../../feedback/selfReward/selfInstruct.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import { badInput } from '../../util/fault.ts'
import { countWarnings } from '../trainer/dataset.ts'
import {
  keepLines,
  modelName,
  type Phase,
  pathIn,
  readLines,
  type SelfRewardContext,
  textModelOf,
  withLines,
} from './context.ts'
import { asTurn, completeTexts, type TextLine, textLineSchema } from './texts.ts'

/** Attempts of a round: their examples are drawn of what was kept before it. */
const roundSize = 16
/** Attempts for each prompt that is wanted, at most. */
const mostAttempts = 8

const promptSchema = z.object({
  prompt: z.string(),
  /** The attempt that it was written in. */
  attempt: z.number(),
})
export type NewPrompt = z.infer<typeof promptSchema>

export const promptFiles = (context: SelfRewardContext, iteration: number) => {
  const at = (name: string) => pathIn(context, 'iterations', `${iteration}`, name)
  return { attempts: at('attempts.jsonl'), kept: at('prompts.jsonl'), dropped: at('prompts-dropped.jsonl') }
}

const phaseName = (iteration: number) => `prompts-${iteration}`

export const readPrompts = (context: SelfRewardContext, iteration: number): Promise<NewPrompt[]> =>
  readLines(promptFiles(context, iteration).kept, promptSchema, context.lines.get(phaseName(iteration)) ?? 0)

/** Prompts of the instruction data that can be shown as a task: one turn, and no longer than a new one may be. */
export const seedTasks = async ({ rows }: Pick<SelfRewardContext, 'rows'>): Promise<string[]> => {
  const tasks = new Set<string>()
  for (let i = 0; i < rows.length; i++) {
    const { prompt } = await rows.row(i)
    const text = taskOf(prompt)
    if (text) tasks.add(text)
  }
  if (tasks.size === 0)
    throw badInput(
      'no-tasks',
      `no prompt is one turn of 1 to ${wordLimits.most} words, so none can be an example for new prompts`,
      {
        flag: '--data',
      },
    )
  return [...tasks]
}

const taskOf = (prompt: Text): string | undefined => {
  const text = withoutTurn(prompt)
  if (typeof text !== 'string') return undefined
  const words = text.split(/\s+/).filter(Boolean).length
  return words > 0 && words <= wordLimits.most ? text.trim() : undefined
}

type Dropped = { attempt: number; prompt?: string; dropped: Rejection | 'enough' | string; because?: string }

/** The tasks of attempts, each kept or dropped. */
type Sorted = { kept: NewPrompt[]; dropped: Dropped[]; filter: PromptFilter }

const sortAttempt = ({ kept, dropped, filter }: Sorted, line: TextLine, attempt: number, wanted: number) => {
  if (line.text === undefined) {
    dropped.push({ attempt, dropped: line.dropped ?? 'no-text' })
    return
  }
  const tasks = tasksIn(line.text, line.finish_reason === 'length')
  if (tasks.length === 0) dropped.push({ attempt, dropped: 'no-task' })
  for (const { task: prompt, cut } of tasks) {
    const { rejected, because } = cut ? { rejected: 'cut' as const } : filter.verdict(prompt)
    if (rejected) dropped.push({ attempt, prompt, dropped: rejected, ...(because && { because }) })
    else if (kept.length >= wanted) dropped.push({ attempt, prompt, dropped: 'enough' })
    else {
      kept.push({ prompt, attempt })
      filter.add(prompt)
    }
  }
}

export async function* promptPhase(context: SelfRewardContext, iteration: number): Phase {
  const { settings, signal, templates } = context
  const { numPrompts: wanted, promptTemperature: temperature, promptTopP: topP, maxNewTokens, blockWords } = settings
  const files = promptFiles(context, iteration)
  const tasks = await seedTasks(context)
  const filter = promptFilter(blockWords)
  for (const task of tasks) filter.add(task)
  // What earlier iterations wrote is shown and held against too
  const earlier: string[] = []
  for (let t = 1; t < iteration; t++) for (const { prompt } of await readPrompts(context, t)) earlier.push(prompt)
  for (const prompt of earlier) filter.add(prompt)
  const sorted: Sorted = { kept: [], dropped: [], filter }
  const model = await textModelOf(context, modelName(iteration))
  const seed = samplingSeed('selfPlay', settings.seed, iteration, 11)
  const limit = roundSize * Math.ceil((mostAttempts * wanted) / roundSize)
  const options = { schema: textLineSchema, total: Number.POSITIVE_INFINITY, group: roundSize }
  const isDone = yield* withLines(files.attempts, options, async function* (file) {
    for (let start = 0; start < limit && sorted.kept.length < wanted; start += roundSize) {
      const generated = [...earlier, ...sorted.kept.map(({ prompt }) => prompt)]
      const shots = (attempt: number) =>
        drawShots(tasks, generated, { seed: settings.seed, stream: iteration, attempt })
      if (file.length < start + roundSize) {
        const job = {
          ...{ length: start + roundSize, samples: 1, settings: { temperature, topP, maxNewTokens, seed }, signal },
          asked: (attempt: number) => asTurn(model, askForTask(shots(attempt), templates.instruct)),
        }
        yield* completeTexts(model, job, file)
        if (file.length < start + roundSize) return false
      }
      for (let i = start; i < start + roundSize; i++) sortAttempt(sorted, await file.read(i), i, wanted)
    }
    return true
  })
  if (!isDone) return false
  await keepLines(files.kept, sorted.kept)
  context.lines.set(phaseName(iteration), sorted.kept.length)
  await keepLines(files.dropped, sorted.dropped)
  if (sorted.kept.length < wanted)
    yield {
      event: 'warning',
      code: 'fewer-prompts',
      message: `only ${sorted.kept.length} of ${wanted} new prompts passed the filters after ${limit} attempts in iteration ${iteration}; prompts-dropped.jsonl has the others with reasons`,
    }
  const counts = new Map<string, number>()
  for (const { dropped } of sorted.dropped) counts.set(dropped, (counts.get(dropped) ?? 0) + 1)
  counts.delete('enough')
  yield* countWarnings(counts, promptMessages)
  return true
}

const promptMessages: Record<string, string> = {
  cut: 'new prompts left out: --max-new-tokens cut them off',
  'too-short': `new prompts left out: fewer than ${wordLimits.least} words`,
  'too-long': `new prompts left out: more than ${wordLimits.most} words`,
  'blocked-word': 'new prompts left out: they ask for what a text cannot give (--block-words)',
  similar: 'new prompts left out: too similar to another one (ROUGE-L)',
  'no-task': 'attempts without a new prompt',
  'prompt-too-long': 'attempts not made: the examples are longer than the model can read',
}
