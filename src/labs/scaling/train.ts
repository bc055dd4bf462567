/** Supervised cells, and what all cells share. Peculiar: each is a run of a recipe, so a stopped one goes on from its checkpoint. */
import { createReadStream } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { writeFolder } from '../../publish/modelFolder.ts'
import { sft } from '../../recipes/sft.ts'
import type { Recipe, TrainEvent } from '../../recipes/trainer/recipe.ts'
import { readSealed, writeSealed } from '../../report/files.node.ts'
import { type Share, wilson } from '../../statistics/intervals.ts'
import { badInput } from '../../util/fault.ts'
import { writeWhole } from '../../util/files.node.ts'
import { ask, finished } from '../demo/completions.ts'
import { curvesOf } from '../runCurves.ts'
import { type Cell, type CellResult, type CurvePoint, cellId, type Mark } from './cells.ts'
import type { Counts } from './flops.ts'
import { type Tokens, writeModel } from './model.ts'
import type { Plan } from './settings.ts'
import { type Data, type Row, rowFlops } from './task.ts'

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

/** Settings of every recipe in a sweep. */
export const learning = ({ cell, plan, data, device }: Prepared) => ({
  ...{ seed: cell.seed, device, threads: 1, memory: 'fast', resume: true },
  ...{ learningRate: cell.size.learningRate, schedule: 'constant_with_warmup', warmupSteps: plan.warmupSteps },
  ...{ batchSize: plan.batchSize, epochs: 1_000_000, saveEvery: 1_000_000, keep: 1 },
  ...{ data: [data.files.taught], evalData: [data.files.held], evalEvery: plan.evalEvery },
  // It falls from the first evaluation on, so no later one is the best, of which a checkpoint would be written
  bestMetric: 'eval_entropy',
})

/** From scratch at a constant rate, so that every point of the curve is a run of that length; answers counted at marks. */
export const supervised = async (prepared: Prepared): Promise<Pick<CellResult, 'curve' | 'marks'>> => {
  const { cell, plan, tokens, data, counts, run, report } = prepared
  const { steps } = cell.size
  const base = join(run, 'base')
  await mkdir(run, { recursive: true })
  await writeModel(base, cell.size, plan, tokens, cell.seed)
  const stepFlops = plan.batchSize * rowFlops(data.taught, tokens, counts)
  const marksFile = join(run, 'marks.json')
  // A run that is past a mark cannot go back to it
  const marks = await readMarks(marksFile)
  for (const part of plan.marks.slice(marks.length)) {
    const maxSteps = Math.round(part * steps)
    const settings = { ...learning(prepared), model: base, output: join(run, 'run'), maxSteps }
    const model = await runRecipe(sft, settings, prepared, (event) => {
      if (event.event === 'step') report(event.step / steps)
    })
    if (marks.length === plan.selfPlay.mark) await copyModel(model, warmModel(prepared.root, cell))
    const exact = await exactMatches(model, data.held, prepared)
    marks.push({ flops: maxSteps * stepFlops, helperFlops: 0, exact })
    await writeSealed(marksFile, { marks })
  }
  return { curve: await curveOf(join(run, 'run'), stepFlops), marks }
}

/** Where self-play begins, and who helps. */
export const warmModel = (root: string, { size, seed }: Pick<Cell, 'size' | 'seed'>) =>
  join(root, 'models', cellId('sft', size, seed))

/** Throws a Fault 'bad-run' where they are there and not what was written. */
const readMarks = async (file: string): Promise<Mark[]> => {
  if (!(await stat(file).catch(() => undefined))) return []
  const found = await readSealed(file)
  // Earlier versions wrote the list alone
  const marks = Array.isArray(found) ? found : (found as { marks?: Mark[] } | undefined)?.marks
  if (marks) return marks
  throw badInput('bad-run', 'is not what was written; begin a new sweep in another --output', { file })
}

/** Whole or not at all. */
const copyModel = (from: string, to: string) =>
  writeFolder(to, 0, async (temporary) => {
    for (const { name } of (await readdir(from, { withFileTypes: true })).filter((entry) => entry.isFile()))
      await writeWhole(join(temporary, name), createReadStream(join(from, name)))
  })

const curveOf = async (run: string, stepFlops: number): Promise<CurvePoint[]> => {
  const curves = await curvesOf(run)
  const accuracies = new Map(curves.get('eval_mean_token_accuracy'))
  return (curves.get('eval_loss') ?? []).map(([step, loss]) => ({
    ...{ flops: step * stepFlops, helperFlops: 0 },
    ...{ loss, accuracy: accuracies.get(step) },
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
const exactMatches = async (
  model: string,
  rows: readonly Row[],
  { cell, signal }: Pick<Prepared, 'cell' | 'signal'>,
): Promise<Share> => {
  const questions = rows.map(({ prompt }) => prompt)
  const answers = await finished(ask(questions, { model, threads: 1, seed: cell.seed, signal }))
  return wilson(rows.filter(({ completion }, i) => answers[i][0] === completion).length, rows.length)
}
