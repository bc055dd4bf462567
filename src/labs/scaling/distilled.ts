/**
 * On-policy distillation with a budget: in each step the model completes a batch of prompts, and learns at each of its tokens what the
 * helper model would have said there. Its compute is its own sampling and training; the helper's passes are counted apart.
 */
import { join } from 'node:path'
import { distill } from '../../recipes/distill.ts'
import { readRows } from '../../report/files.node.ts'
import { mean, sum } from '../../statistics/summary.ts'
import { maxNewTokens } from '../completePrompts.ts'
import { runRecipe } from '../runRecipe.ts'
import { helperId } from './cells.ts'
import { type CellContext, keptModel, sharedSettings, type Trained } from './context.ts'
import { forwardFlops, generationFlops, trainingFlops } from './flops.ts'
import { helperCounts } from './helped.ts'

/** The reverse KL, as a student that samples itself asks for. */
const beta = 1

export const trainDistilled = async (
  context: CellContext,
  { from, rate }: { from: string; rate: number },
): Promise<Trained> => {
  const { cell, plan, root, data, tokenizer, counts, results, dir, report } = context
  const asked = mean(data.taught.map(({ prompt }) => tokenizer.count(prompt)))
  const said = mean(data.taught.map(({ completion }) => tokenizer.count(completion) + 1))
  const stepFlops = (length: number) =>
    plan.batchSize * (generationFlops(counts, asked, length) + trainingFlops(counts, asked, [length]))
  // If its completions are as long as the right ones
  const steps = Math.max(1, Math.round(cell.budget / stepFlops(said)))
  const settings = {
    ...sharedSettings(context),
    model: from,
    teacher: keptModel(root, helperId(cell.seed)),
    data: [data.file],
    lmbda: 1,
    beta,
    temperature: 1,
    maxNewTokens,
    maxLength: 256,
    maxSteps: steps,
    learningRate: rate,
    schedule: 'linear',
    warmupSteps: Math.ceil(plan.warmup * steps),
  }
  const events = runRecipe(distill, settings, context)
  for (;;) {
    const { done, value } = await events.next()
    if (done) {
      const lengths = await completionLengths(join(dir, 'run', 'events.jsonl'))
      const helping = (length: number) => plan.batchSize * forwardFlops(helperCounts(context), asked, [length])
      const helperFlops = results.get(helperId(cell.seed))!.flops + sum(lengths.map(helping))
      return { model: value, rate, steps, flops: sum(lengths.map(stepFlops)), helperFlops }
    }
    if (value.event === 'step') report(0.95 * (value.step / steps))
  }
}

type StepLine = { event: string; step: number; 'completions/mean_length'?: number }

/** Mean tokens of the completions of each step. A step that was made again after a stop counts once. */
const completionLengths = async (log: string): Promise<number[]> => {
  const steps = (await readRows<StepLine>(log)).filter(({ event }) => event === 'step')
  return [...new Map(steps.map((line) => [line.step, line['completions/mean_length'] ?? 0])).values()]
}
