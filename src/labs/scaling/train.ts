/** Training one cell. Peculiar: each is a run of a recipe, so a stopped one goes on from its checkpoint. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import type { Recipe, TrainEvent } from '../../recipes/recipe.ts'
import { sft } from '../../recipes/sft.ts'
import { ask } from '../answers.ts'
import { type Share, wilson } from '../interval.ts'
import { curvesOf } from '../runReport.ts'
import type { Cell, CellResult, CurvePoint, Mark } from './cells.ts'
import { type Counts, countsOf } from './flops.ts'
import { modelOf, type Tokens, writeModel } from './model.ts'
import type { Plan } from './settings.ts'
import { type Data, dealData, type Row, rowFlops } from './task.ts'

/** What all cells of a call share. */
export type Running = {
  root: string
  plan: Plan
  tokens: Tokens
  device: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  signal: AbortSignal
  command: readonly string[]
}

export type Prepared = Running & { cell: Cell; data: Data; counts: Counts; run: string; report(share: number): void }

/** Trains a cell to its end. Throws the signal's reason when it was stopped; the next call goes on. */
export const trainCell = async (cell: Cell, running: Running, report: (share: number) => void): Promise<CellResult> => {
  const began = performance.now()
  const { architecture, config } = modelOf(cell.size, running.plan.vocabulary, running.tokens.eosId)
  const counts = countsOf(architecture, config)
  const run = join(running.root, 'runs', cell.id)
  const data = await dealData(running.root, cell.seed, running.plan)
  const { curve, marks } = await supervised({ ...running, cell, data, counts, run, report })
  await rm(join(run, 'run', 'checkpoints'), { recursive: true, force: true })
  const { parameters, blocks } = counts
  const { hidden, layers } = cell.size
  const seconds = (performance.now() - began) / 1000
  return {
    id: cell.id,
    method: cell.method,
    seed: cell.seed,
    ...{ hidden, layers, parameters, blocks, curve, marks, seconds },
  }
}

/** Settings of every recipe in a sweep. */
const learning = ({ cell, plan, data, device }: Prepared) => ({
  ...{ seed: cell.seed, device, threads: 1, memory: 'fast', resume: true },
  ...{ learningRate: cell.size.learningRate, schedule: 'constant_with_warmup', warmupSteps: plan.warmupSteps },
  ...{ batchSize: plan.batchSize, epochs: 1_000_000, saveEvery: 1_000_000, keep: 1 },
  ...{ data: [data.files.taught], evalData: [data.files.held], evalEvery: plan.evalEvery },
  // It falls from the first evaluation on, so no later one is the best, of which a checkpoint would be written
  bestMetric: 'eval_entropy',
})

/** From scratch at a constant rate, so that every point of the curve is a run of that length; answers counted at marks. */
const supervised = async (prepared: Prepared): Promise<Pick<CellResult, 'curve' | 'marks'>> => {
  const { cell, plan, tokens, data, counts, run, report } = prepared
  const { steps } = cell.size
  const base = join(run, 'base')
  await mkdir(run, { recursive: true })
  await writeModel(base, cell.size, plan, tokens, cell.seed)
  const stepFlops = plan.batchSize * rowFlops(data.taught, tokens, counts)
  const marks: Mark[] = []
  for (const part of plan.marks) {
    const maxSteps = Math.round(part * steps)
    const settings = { ...learning(prepared), model: base, output: join(run, 'run'), maxSteps }
    const model = await runRecipe(sft, settings, prepared, (event) => {
      if (event.event === 'step') report(event.step / steps)
    })
    const exact = await exactMatches(model, data.held, prepared)
    marks.push({ flops: maxSteps * stepFlops, helperFlops: 0, exact })
  }
  return { curve: await curveOf(join(run, 'run'), stepFlops), marks }
}

const curveOf = async (run: string, stepFlops: number): Promise<CurvePoint[]> => {
  const curves = await curvesOf(run)
  const accuracies = new Map(curves.get('eval_mean_token_accuracy'))
  return (curves.get('eval_loss') ?? []).map(([step, loss]) => ({
    ...{ flops: step * stepFlops, helperFlops: 0 },
    ...{ loss, accuracy: accuracies.get(step) ?? Number.NaN },
  }))
}

/** Runs a recipe whole. @returns the folder of its model. Throws the signal's reason when it was stopped. */
export const runRecipe = async <S extends z.ZodObject>(
  recipe: Recipe<S>,
  settings: Record<string, unknown>,
  { signal, command }: Pick<Running, 'signal' | 'command'>,
  each: (event: TrainEvent) => void,
): Promise<string> => {
  let output = ''
  for await (const event of recipe.run(recipe.schema.parse(settings), { signal, command })) {
    each(event)
    if (event.event === 'end') output = event.output
  }
  signal.throwIfAborted()
  return output
}

/** Held-out sums whose likeliest answer is right to the last digit. */
export const exactMatches = async (
  model: string,
  rows: readonly Row[],
  { cell, signal }: Pick<Prepared, 'cell' | 'signal'>,
): Promise<Share> => {
  const asking = ask(
    rows.map(({ prompt }) => prompt),
    { model, threads: 1, seed: cell.seed, signal },
  )
  let asked = await asking.next()
  while (!asked.done) asked = await asking.next()
  const answers = asked.value
  return wilson(rows.filter(({ completion }, i) => answers[i][0] === completion).length, rows.length)
}
