/** Supervised training of a cell, from random weights. It is a run of `sft`, so a stopped one resumes from its checkpoint. */
import { createReadStream } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFolder } from '../../publish/modelFolder.ts'
import { sft } from '../../recipes/sft.ts'
import { readSealed, writeSealed } from '../../report/files.node.ts'
import { curvesOf } from '../../runs/curves.node.ts'
import { type Share, wilson } from '../../statistics/intervals.ts'
import { returnValueOf } from '../../util/eventStream.ts'
import { badInput } from '../../util/fault.ts'
import { writeWhole } from '../../util/files.node.ts'
import { completePrompts } from '../completePrompts.ts'
import { runRecipe } from '../runRecipe.ts'
import type { CellResult, ExactMatchPoint, LossPoint } from './cells.ts'
import { type CellContext, sharedSettings, startModel } from './context.ts'
import { writeRandomModel } from './model.ts'
import { type Row, rowFlops } from './task.ts'

/**
 * Trains at a constant learning rate, so that every point of the curve is the result of a run of that length. At each mark
 * training pauses, and the exact matches are counted.
 */
export const trainSupervised = async (context: CellContext): Promise<Pick<CellResult, 'curve' | 'marks'>> => {
  const { cell, plan, tokenizer, data, counts, dir } = context
  const { steps } = cell.size
  const base = join(dir, 'base')
  await mkdir(dir, { recursive: true })
  await writeRandomModel(base, cell.size, plan, tokenizer, cell.seed)
  const stepFlops = plan.batchSize * rowFlops(data.train.rows, tokenizer, counts)
  const marksFile = join(dir, 'marks.json')
  // A run that is past a mark cannot go back to it
  const marks = await readMarks(marksFile)
  for (const share of plan.marks.slice(marks.length)) {
    const maxSteps = Math.round(share * steps)
    const settings = { ...sharedSettings(context), model: base, output: join(dir, 'run'), maxSteps }
    const model = await trainTo(settings, context)
    if (marks.length === plan.selfPlay.mark) await copyModel(model, startModel(context.root, cell))
    const exact = await exactMatches(model, data.eval.rows, context)
    marks.push({ flops: maxSteps * stepFlops, helperFlops: 0, exact })
    await writeSealed(marksFile, { marks })
  }
  return { curve: await curveOf(join(dir, 'run'), stepFlops), marks }
}

/** @returns the folder of the model */
const trainTo = async (settings: Record<string, unknown>, context: CellContext): Promise<string> => {
  const events = runRecipe(sft, settings, context)
  for (;;) {
    const { done, value } = await events.next()
    if (done) return value
    if (value.event === 'step') context.report(value.step / context.cell.size.steps)
  }
}

/** Throws a Fault 'bad-run' where the file is there and is not what was written. */
const readMarks = async (file: string): Promise<ExactMatchPoint[]> => {
  if (!(await stat(file).catch(() => undefined))) return []
  const found = await readSealed(file)
  // Earlier versions wrote the list alone
  const marks = Array.isArray(found) ? found : (found as { marks?: ExactMatchPoint[] } | undefined)?.marks
  if (marks) return marks
  throw badInput('bad-run', 'is not what was written; begin a new sweep in another --output', { file })
}

/** The copy appears whole or not at all. */
const copyModel = (from: string, to: string) =>
  writeFolder(to, 0, async (temporary) => {
    for (const { name } of (await readdir(from, { withFileTypes: true })).filter((entry) => entry.isFile()))
      await writeWhole(join(temporary, name), createReadStream(join(from, name)))
  })

const curveOf = async (run: string, stepFlops: number): Promise<LossPoint[]> => {
  const curves = await curvesOf(run)
  const accuracies = new Map(curves.get('eval_mean_token_accuracy'))
  const trained = (curves.get('eval_loss') ?? []).filter(([step]) => step > 0)
  return trained.map(([step, loss]) => ({
    flops: step * stepFlops,
    helperFlops: 0,
    loss,
    accuracy: accuracies.get(step),
  }))
}

/** The share of held-out sums whose greedy completion is right to the last digit. */
const exactMatches = async (
  model: string,
  rows: readonly Row[],
  { cell, signal }: Pick<CellContext, 'cell' | 'signal'>,
): Promise<Share> => {
  const prompts = rows.map(({ prompt }) => prompt)
  const completions = await returnValueOf(completePrompts(prompts, { model, threads: 1, seed: cell.seed, signal }))
  return wilson(rows.filter(({ completion }, i) => completions[i][0] === completion).length, rows.length)
}
