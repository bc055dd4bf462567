/**
 * Self-play of a cell: iterations of SPIN, T-SPIN or aSFT, started from a model that supervised training left half-way.
 * Its compute is counted from the tokens in its files: sampling the model's own completions, the reference pass over them,
 * and training. What the helper model of aSFT took to be trained and to sample is counted apart.
 */
import { createReadStream } from 'node:fs'
import { access, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { asft } from '../../recipes/asft.ts'
import { spin } from '../../recipes/spin.ts'
import { writeRows } from '../../report/files.node.ts'
import { wilson } from '../../statistics/intervals.ts'
import { returnValueOf } from '../../util/eventStream.ts'
import { completePrompts, maxNewTokens } from '../completePrompts.ts'
import { runRecipe } from '../runRecipe.ts'
import { type CellResult, cellId, type ExactMatchPoint, type LossPoint, readResults } from './cells.ts'
import { type CellContext, sharedSettings, startModel } from './context.ts'
import { forwardFlops, generationFlops, modelCounts, trainingFlops } from './flops.ts'
import { modelConfig } from './model.ts'
import { helperSize } from './settings.ts'
import type { Row } from './task.ts'

/** The evaluation after an iteration, as self-play logs it. */
type IterationEval = { event: string; step: number; iteration: number; eval_nll: number; eval_exact_match: number }

export const trainSelfPlay = async (context: CellContext): Promise<Pick<CellResult, 'curve' | 'marks'>> => {
  const { cell, plan, root, dir, report } = context
  const results = await readResults(root)
  const start = results.get(cellId('sft', cell.size, cell.seed))!.marks[plan.selfPlay.mark]
  await mkdir(dir, { recursive: true })
  const helper = cell.method === 'asft' ? await helperCompletions(context, results) : undefined
  const output = join(dir, 'run')
  const settings = { ...sharedSettings(context), ...selfPlaySettings(context), model: startModel(root, cell), output }
  const events = helper
    ? runRecipe(
        asft,
        { ...settings, data: [helper.files.train], evalData: [helper.files.eval], helper: ['column:helper'] },
        context,
      )
    : runRecipe(spin, { ...settings, loss: cell.method === 't-spin' ? 't-spin' : 'plackett-luce' }, context)
  const totalSteps = plan.selfPlay.iterations * plan.selfPlay.steps
  const evaluations: IterationEval[] = []
  for await (const event of events) {
    if (event.event === 'step') report(Math.min(0.99, event.step / totalSteps))
    if (event.event === 'eval') evaluations.push(event as unknown as IterationEval)
  }
  const helperFlops = helper?.flops ?? 0
  let flops = start.flops
  const curve: LossPoint[] = []
  const marks: ExactMatchPoint[] = []
  for (const { iteration, steps, eval_nll, eval_exact_match } of await withStepCounts(output, evaluations)) {
    if (iteration > 0) flops += await iterationFlops(context, join(output, 'iterations', String(iteration)), steps)
    curve.push({ flops, helperFlops, loss: eval_nll })
    const right = Math.round(eval_exact_match * plan.held)
    marks.push({ flops, helperFlops, exact: wilson(right, plan.held) })
  }
  await rm(join(output, 'model'), { recursive: true, force: true })
  return { curve, marks }
}

const selfPlaySettings = ({ plan }: CellContext) => {
  const { iterations, steps, learningRate, beta } = plan.selfPlay
  return {
    iterations,
    maxSteps: steps,
    learningRate: [learningRate],
    beta: [beta],
    optimizer: 'adamw',
    maxNewTokens,
    maxLength: 256,
    warmupSteps: Math.ceil(steps / 10),
  }
}

/** The evaluations of all iterations, those in the log from before a stop included, each with the steps of its iteration. */
const withStepCounts = async (output: string, evaluations: readonly IterationEval[]) => {
  const byIteration = new Map<number, IterationEval>()
  for await (const event of jsonLines<IterationEval>(join(output, 'events.jsonl')))
    if (event.event === 'eval') byIteration.set(event.iteration, event)
  for (const event of evaluations) byIteration.set(event.iteration, event)
  const sorted = [...byIteration.values()].sort((a, b) => a.iteration - b.iteration)
  return sorted.map((event, i) => ({ ...event, steps: event.step - (sorted[i - 1]?.step ?? 0) }))
}

async function* jsonLines<T>(path: string): AsyncGenerator<T> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY }))
    if (line.trim()) yield JSON.parse(line) as T
}

/** Lines of the files that an iteration of self-play leaves. */
type CompletionLine = { row: number; ids?: number[] }
type ListLine = { prompt: number[]; replies: number[][]; refs: number[]; dropped?: string }

/** Operations of an iteration: sampling completions of the training prompts, the reference pass over the lists, training. */
const iterationFlops = async (
  { plan, cell, counts }: CellContext,
  iterationDir: string,
  steps: number,
): Promise<number> => {
  const lists: ListLine[] = []
  for await (const list of jsonLines<ListLine>(join(iterationDir, 'train-lists.jsonl'))) lists.push(list)
  let flops = 0
  for await (const { row, ids = [] } of jsonLines<CompletionLine>(join(iterationDir, 'train-answers.jsonl')))
    flops += generationFlops(counts, lists[row]?.prompt.length ?? 0, ids.length)
  const lengths = ({ replies }: ListLine) => replies.map(({ length }) => length)
  if (cell.method !== 't-spin')
    for (const list of lists) flops += forwardFlops(counts, list.prompt.length, lengths(list))
  const used = lists.filter(({ dropped }) => !dropped)
  const training = used.reduce((sum, list) => sum + trainingFlops(counts, list.prompt.length, lengths(list)), 0)
  return flops + (used.length ? (steps * plan.batchSize * training) / used.length : 0)
}

/**
 * Files with one sampled completion of the helper model for every sum, and the helper's compute: its training, and the
 * completions of the training prompts.
 */
const helperCompletions = async (context: CellContext, results: ReadonlyMap<string, CellResult>) => {
  const { cell, plan, root, dir, tokenizer, data, signal } = context
  const size = helperSize(plan)
  const model = startModel(root, { size, seed: cell.seed })
  const files = { train: join(dir, 'taught.jsonl'), eval: join(dir, 'held.jsonl') }
  for (const part of ['train', 'eval'] as const) {
    if (await isThere(files[part])) continue
    const { rows } = data[part]
    const prompts = rows.map(({ prompt }) => prompt)
    const options = { model, threads: 1, seed: cell.seed, samples: 1, signal }
    const completions = await returnValueOf(completePrompts(prompts, options))
    await writeRows(
      files[part],
      rows.map((row, i) => ({ ...row, helper: completions[i][0] })),
    )
  }
  const { architecture, config } = modelConfig(size, plan.vocabulary, tokenizer.eosId)
  const counts = modelCounts(architecture, config)
  let flops = results.get(cellId('sft', size, cell.seed))!.marks[plan.selfPlay.mark].flops
  for await (const { prompt, helper } of jsonLines<Row & { helper: string }>(files.train))
    flops += generationFlops(counts, tokenizer.count(prompt), tokenizer.count(helper) + 1)
  return { files, flops }
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
