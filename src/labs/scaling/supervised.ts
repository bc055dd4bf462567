/** Supervised training of a cell: a run of `sft` that spends a budget, so a stopped one resumes from its checkpoint. */
import { join } from 'node:path'
import { sft } from '../../recipes/sft.ts'
import { runRecipe } from '../runRecipe.ts'
import { type CellContext, sharedSettings, type Trained } from './context.ts'
import { writeRandomModel } from './model.ts'
import { type Row, rowFlops } from './task.ts'

/**
 * How the learning rate goes: it stays after the warm-up, falls to 0 over the last part of the run (cooldown), or falls to 0 from
 * the warm-up on.
 */
export type RateShape = 'constant' | 'cooldown' | 'falling'

type Supervised = {
  /** The weights to go on from; random ones without. */
  from?: string
  rows: readonly Row[]
  /** The file of these rows. */
  file: string
  rate: number
  shape: RateShape
}

/** @returns the model, at most half a step off the cell's budget */
export const trainSupervised = async (
  context: CellContext,
  { from, rows, file, rate, shape }: Supervised,
): Promise<Omit<Trained, 'helperFlops'>> => {
  const { cell, plan, tokenizer, counts, dir, report } = context
  const base = from ?? join(dir, 'base')
  if (!from) await writeRandomModel(base, { hidden: cell.hidden, layers: plan.layers }, plan, tokenizer, cell.seed)
  const stepFlops = plan.batchSize * rowFlops(rows, tokenizer, counts)
  const steps = Math.max(1, Math.round(cell.budget / stepFlops))
  const settings = {
    ...sharedSettings(context),
    ...scheduleOf(shape, steps, plan),
    model: base,
    data: [file],
    learningRate: rate,
    maxSteps: steps,
  }
  const events = runRecipe(sft, settings, context)
  for (;;) {
    const { done, value } = await events.next()
    if (done) return { model: value, rate, steps, flops: steps * stepFlops }
    if (value.event === 'step') report(0.95 * (value.step / steps))
  }
}

const scheduleOf = (shape: RateShape, steps: number, { warmup, cooldown }: CellContext['plan']) => {
  const warmupSteps = Math.ceil(warmup * steps)
  if (shape === 'constant') return { warmupSteps, schedule: 'constant_with_warmup' }
  if (shape === 'falling') return { warmupSteps, schedule: 'linear' }
  const numDecaySteps = Math.ceil(cooldown * steps)
  return { warmupSteps, schedule: 'warmup_stable_decay', scheduleOption: { numDecaySteps } }
}
