/**
 * A cell of self-play: from a model that supervised training left half-way, the rounds of SPIN, T-SPIN or aSFT. Peculiar:
 * its compute is counted whole, from the tokens that its files hold: its own answers, the snapshot's pass over them, and
 * training; and apart from it what the helper took to be trained and to answer.
 */
import { createReadStream } from 'node:fs'
import { access, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { asft } from '../../recipes/asft.ts'
import { spin } from '../../recipes/spin.ts'
import type { TrainEvent } from '../../recipes/trainer/recipe.ts'
import { writeRows } from '../../report/files.node.ts'
import { wilson } from '../../statistics/intervals.ts'
import { ask, finished, longestAnswer } from '../demo/completions.ts'
import { type CellResult, type CurvePoint, cellId, type Mark, readResults } from './cells.ts'
import { type Counts, countsOf, forwardFlops, generationFlops, trainingFlops } from './flops.ts'
import { modelOf } from './model.ts'
import { helperOf } from './settings.ts'
import type { Row } from './task.ts'
import { learning, type Prepared, runRecipe, warmModel } from './train.ts'

type Iteration = { event: string; step: number; iteration: number; eval_nll: number; eval_exact_match: number }

export const selfPlay = async (prepared: Prepared): Promise<Pick<CellResult, 'curve' | 'marks'>> => {
  const { cell, plan, root, run, counts, report } = prepared
  const results = await readResults(root)
  const warm = results.get(cellId('sft', cell.size, cell.seed))!.marks[plan.selfPlay.mark]
  await mkdir(run, { recursive: true })
  const helped = cell.method === 'asft' ? await helperAnswers(prepared, results) : undefined
  const output = join(run, 'run')
  const settings = { ...learning(prepared), ...selfPlaySettings(prepared), model: warmModel(root, cell), output }
  const total = plan.selfPlay.iterations * plan.selfPlay.steps
  const ends: Iteration[] = []
  const each = (event: TrainEvent) => {
    if (event.event === 'step') report(Math.min(0.99, event.step / total))
    if (event.event === 'eval') ends.push(event as unknown as Iteration)
  }
  if (helped) {
    const { taught, held } = helped.files
    const files = { data: [taught], evalData: [held], helper: ['column:helper'] }
    await runRecipe(asft, { ...settings, ...files }, prepared, each)
  } else
    await runRecipe(spin, { ...settings, loss: cell.method === 't-spin' ? 't-spin' : 'plackett-luce' }, prepared, each)
  const helperFlops = helped?.flops ?? 0
  const told = await iterationsOf(output, ends)
  let flops = warm.flops
  const curve: CurvePoint[] = []
  const marks: Mark[] = []
  for (const { iteration, steps, eval_nll, eval_exact_match } of told) {
    if (iteration > 0)
      flops += await iterationFlops(prepared, counts, join(output, 'iterations', String(iteration)), steps)
    curve.push({ flops, helperFlops, loss: eval_nll })
    const right = Math.round(eval_exact_match * plan.held)
    marks.push({ flops, helperFlops, exact: wilson(right, plan.held) })
  }
  await rm(join(run, 'run', 'model'), { recursive: true, force: true })
  return { curve, marks }
}

const selfPlaySettings = ({ plan }: Prepared) => {
  const { iterations, steps, learningRate, beta } = plan.selfPlay
  return {
    ...{ iterations, maxSteps: steps, learningRate: [learningRate], beta: [beta], optimizer: 'adamw' },
    ...{ maxNewTokens: longestAnswer, maxLength: 256, warmupSteps: Math.ceil(steps / 10) },
  }
}

/** The log tells all rounds, those before a stop included. */
const iterationsOf = async (output: string, ends: readonly Iteration[]) => {
  const logged = new Map<number, Iteration>()
  for await (const event of jsonLines<Iteration>(join(output, 'events.jsonl')))
    if (event.event === 'eval') logged.set(event.iteration, event)
  for (const event of ends) logged.set(event.iteration, event)
  const sorted = [...logged.values()].sort((a, b) => a.iteration - b.iteration)
  return sorted.map((event, i) => ({ ...event, steps: event.step - (sorted[i - 1]?.step ?? 0) }))
}

async function* jsonLines<T>(path: string): AsyncGenerator<T> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY }))
    if (line.trim()) yield JSON.parse(line) as T
}

type Answer = { row: number; ids?: number[] }
type List = { prompt: number[]; replies: number[][]; refs: number[]; dropped?: string }

/** Answers to the taught prompts, the snapshot's pass over the lists, and the steps, each of so many lists. */
const iterationFlops = async (
  { plan, cell }: Prepared,
  counts: Counts,
  dir: string,
  steps: number,
): Promise<number> => {
  const lists: List[] = []
  for await (const list of jsonLines<List>(join(dir, 'train-lists.jsonl'))) lists.push(list)
  let flops = 0
  for await (const { row, ids = [] } of jsonLines<Answer>(join(dir, 'train-answers.jsonl')))
    flops += generationFlops(counts, lists[row]?.prompt.length ?? 0, ids.length)
  const lengths = ({ replies }: List) => replies.map(({ length }) => length)
  if (cell.method !== 't-spin')
    for (const list of lists) flops += forwardFlops(counts, list.prompt.length, lengths(list))
  const used = lists.filter(({ dropped }) => !dropped)
  const training = used.reduce((sum, list) => sum + trainingFlops(counts, list.prompt.length, lengths(list)), 0)
  return flops + (used.length ? (steps * plan.batchSize * training) / used.length : 0)
}

/** What the helper says to every sum, sampled once, and its compute: its training and the taught answers. */
const helperAnswers = async (prepared: Prepared, results: ReadonlyMap<string, CellResult>) => {
  const { cell, plan, root, run, tokens, data, signal } = prepared
  const size = helperOf(plan)
  const files = { taught: join(run, 'taught.jsonl'), held: join(run, 'held.jsonl') }
  for (const part of ['taught', 'held'] as const) {
    if (
      await access(files[part]).then(
        () => true,
        () => false,
      )
    )
      continue
    const model = warmModel(root, { size, seed: cell.seed })
    const asking = { model, threads: 1, seed: cell.seed, samples: 1, signal }
    const answers = await finished(
      ask(
        data[part].map(({ prompt }) => prompt),
        asking,
      ),
    )
    await writeRows(
      files[part],
      data[part].map((row, i) => ({ ...row, helper: answers[i][0] })),
    )
  }
  const { architecture, config } = modelOf(size, plan.vocabulary, tokens.eosId)
  const counts = countsOf(architecture, config)
  let flops = results.get(cellId('sft', size, cell.seed))!.marks[plan.selfPlay.mark].flops
  for await (const { prompt, helper } of jsonLines<Row & { helper: string }>(files.taught))
    flops += generationFlops(counts, tokens.count(prompt), tokens.count(helper) + 1)
  return { files, flops }
}
