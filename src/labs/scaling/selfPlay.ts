/**
 * Self-play with a budget: iterations of SPIN, T-SPIN or aSFT. Steps are given so that sampling the model's own completions, the
 * reference pass over them, and training take the budget together; what was really spent is counted from the tokens in its files.
 */
import { join } from 'node:path'
import { asft } from '../../recipes/asft.ts'
import { spin } from '../../recipes/spin.ts'
import { readRows } from '../../report/files.node.ts'
import { badInput } from '../../util/fault.ts'
import { maxNewTokens } from '../completePrompts.ts'
import { runRecipe } from '../runRecipe.ts'
import { type CellContext, sharedSettings, type Trained } from './context.ts'
import { forwardFlops, generationFlops, trainingFlops } from './flops.ts'
import { readHelped } from './helped.ts'
import type { Method } from './settings.ts'

type SelfPlay = { method: Method; from: string; rate: number; beta: number }

export const trainSelfPlay = async (context: CellContext, { method, from, rate, beta }: SelfPlay): Promise<Trained> => {
  const { plan, data, dir, report } = context
  const { iterations } = plan.comparison
  const helped = method === 'asft' ? await readHelped(context) : undefined
  const steps = plannedSteps(context, method)
  const settings = {
    ...sharedSettings(context),
    model: from,
    data: [helped?.file ?? data.file],
    evalData: [data.peekFile],
    iterations,
    maxSteps: steps,
    learningRate: [rate],
    beta: [beta],
    schedule: 'linear',
    warmupSteps: Math.ceil(plan.warmup * steps),
    optimizer: 'adamw',
    maxNewTokens,
    maxLength: 256,
    bestMetric: 'none',
  }
  const events = helped
    ? runRecipe(asft, { ...settings, helper: ['column:helper'] }, context)
    : runRecipe(spin, { ...settings, loss: method === 't-spin' ? 't-spin' : 'plackett-luce' }, context)
  let model = ''
  for (;;) {
    const { done, value } = await events.next()
    if (done) {
      model = value
      break
    }
    if (value.event === 'step') report(0.95 * Math.min(1, value.step / (iterations * steps)))
  }
  let flops = 0
  for (let n = 1; n <= iterations; n++)
    flops += await iterationFlops(context, method, join(dir, 'run', 'iterations', `${n}`), steps)
  return { model, rate, beta, steps: iterations * steps, flops, helperFlops: helped?.flops ?? 0 }
}

/** Steps of an iteration, if the model's completions are as long as the right ones. */
const plannedSteps = ({ cell, plan, tokenizer, counts, data }: CellContext, method: Method): number => {
  const own = data.taught.map(({ prompt, completion }) => {
    const [asked, said] = [tokenizer.count(prompt), tokenizer.count(completion) + 1]
    const list = Array.from({ length: method === 'asft' ? 3 : 2 }, () => said)
    return {
      sampling: generationFlops(counts, asked, said) + (method === 't-spin' ? 0 : forwardFlops(counts, asked, list)),
      training: trainingFlops(counts, asked, list),
    }
  })
  const total = (key: 'sampling' | 'training') => own.reduce((sum, row) => sum + row[key], 0)
  const left = cell.budget / plan.comparison.iterations - total('sampling')
  const steps = Math.round(left / ((plan.batchSize * total('training')) / own.length))
  if (steps >= 1) return steps
  throw badInput(
    'bad-flag',
    `${cell.budget.toExponential()} FLOPs do not pay for the completions of ${plan.comparison.iterations} iterations of ${method} at hidden size ${cell.hidden}`,
    { flag: '--preset' },
  )
}

/** Lines of the files that an iteration of self-play leaves. */
type CompletionLine = { row: number; ids?: number[] }
type ListLine = { prompt: number[]; replies: number[][]; refs: number[]; dropped?: string }

/** Operations of an iteration: sampling completions of the training prompts, the reference pass over the lists, training. */
const iterationFlops = async (
  { plan, counts }: CellContext,
  method: Method,
  iterationDir: string,
  steps: number,
): Promise<number> => {
  const lists = await readRows<ListLine>(join(iterationDir, 'train-lists.jsonl'))
  let flops = 0
  for (const { row, ids = [] } of await readRows<CompletionLine>(join(iterationDir, 'train-answers.jsonl')))
    flops += generationFlops(counts, lists[row]?.prompt.length ?? 0, ids.length)
  const lengths = ({ replies }: ListLine) => replies.map(({ length }) => length)
  if (method !== 't-spin') for (const list of lists) flops += forwardFlops(counts, list.prompt.length, lengths(list))
  const used = lists.filter(({ dropped }) => !dropped)
  const training = used.reduce((sum, list) => sum + trainingFlops(counts, list.prompt.length, lengths(list)), 0)
  return flops + (used.length ? (steps * plan.batchSize * training) / used.length : 0)
}
