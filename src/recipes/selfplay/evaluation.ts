/**
 * The evaluation phase: how well the model tells the data from its own completions of before the training, and which part of the
 * data it says itself. An own completion that equals the data counts with a margin of 0 and half a win, so that a model that can
 * no longer be told from the data has a margin of 0.
 */
import { dirname } from 'node:path'
import { z } from 'zod'
import { normalInterval } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import type { EvalEvent } from '../../train/loop.ts'
import { evaluate } from '../../train/step.ts'
import { diskFault, makeFolders, writeWhole } from '../../util/files.node.ts'
import { readSealed, sealedFile } from '../../util/sealed.node.ts'
import { chunks } from '../trainer/collate.ts'
import { logpSums } from '../trainer/reference.ts'
import { completeRows, openCompletions } from './completions.ts'
import {
  evaluatedRows,
  interrupted,
  iterationPath,
  openIterationLists,
  type Phase,
  type SelfPlayContext,
} from './context.ts'
import type { List, Role } from './lists.ts'
import { listBatches, valueAt } from './training.ts'

const metricsSchema = z.record(z.string(), z.number())

/**
 * Evaluates the model on the lists of an iteration. Iteration 0 is the model before training, on the lists of the first: its
 * log-probs are those of the snapshot.
 */
export async function* evaluationPhase(context: SelfPlayContext, iteration: number, step: number): Phase<EvalEvent> {
  const path = iterationPath(context, iteration, 'evaluation.json')
  // A damaged file is made again, like a missing one
  const known = metricsSchema.safeParse(await readSealed(path)).data
  if (known) return evalEvent(known, iteration, step)
  const { settings, policy, tspin } = context
  const listsOf = Math.max(1, iteration)
  const rows = evaluatedRows(context)
  const { file } = await openIterationLists(context, rows, listsOf)
  const lists: List[] = []
  for (let i = 0; i < rows.length; i++) lists.push(await file.read(i))
  const scorable = lists.filter(({ refs }) => refs.length)
  const trees = scorable.map(({ prompt, replies }) => ({ trunk: prompt, branches: replies }))
  const logps =
    iteration === 0 || !trees.length ? scorable.map(({ refs }) => refs) : await logpSums(policy.model, trees)
  const scored = scorable.map((list, i) => ({ list, logps: logps[i] }))
  const comparable = scorable.filter(({ dropped }) => !dropped)
  const lossMetrics = comparable.length ? await evaluateLists(context, listsOf, comparable) : { eval_loss: 0 }
  const exactMatch = yield* exactMatchPhase(context, iteration)
  if (exactMatch === interrupted) return interrupted
  const scale = { beta: valueAt(settings.beta, listsOf), referenceFree: tspin }
  const all = { ...lossMetrics, ...(scored.length ? selfPlayMetrics(scored, scale) : {}), ...exactMatch }
  const metrics = Object.fromEntries(Object.entries(all).filter(([, value]) => Number.isFinite(value)))
  await makeFolders(dirname(path)).catch((error) => {
    throw diskFault(error, path)
  })
  await writeWhole(path, sealedFile(path, metrics))
  return evalEvent(metrics, iteration, step)
}

const evalEvent = (metrics: Record<string, number>, iteration: number, step: number): EvalEvent => ({
  event: 'eval',
  step,
  iteration,
  eval_loss: metrics.eval_loss,
  ...metrics,
})

/** The metrics of the training loss, means over lists. */
const evaluateLists = (
  { policy, settings, loss: lossOf, tspin }: SelfPlayContext,
  iteration: number,
  lists: List[],
) => {
  const [loss, head] = [lossOf(iteration), {}]
  return evaluate(
    { model: policy.model, loss, head, share: policy.sharing?.evaluation({ loss, head }) },
    (async function* () {
      for (const batch of chunks(lists, settings.batchSize))
        yield* listBatches(batch, batch.length, !tspin, Number.POSITIVE_INFINITY)
    })(),
  )
}

/** The part of the evaluated rows whose greedy completion is the data's. */
async function* exactMatchPhase(context: SelfPlayContext, iteration: number): Phase<Record<string, number>> {
  const { settings, policy, tokenization, signal, own } = context
  if (!settings.exactMatch) return {}
  const rows = evaluatedRows(context)
  const path = iterationPath(context, iteration, 'greedy.jsonl')
  const file = own(await openCompletions(path, rows, settings.maxNewTokens))
  const greedy = { temperature: 0, maxNewTokens: settings.maxNewTokens, seed: settings.seed }
  yield* completeRows(
    { model: policy.model, share: policy.sharing?.sampling },
    tokenization,
    rows,
    file,
    greedy,
    signal,
  )
  if (file.length < rows.length) return interrupted
  const withoutEnds = (ids: readonly unknown[] = []) =>
    ids.filter((id) => !tokenization.eosIds.has(id as number)).join()
  let matches = 0
  for (let i = 0; i < rows.length; i++) {
    const { completion } = await rows.row(i)
    const { ids, text } = await file.read(i)
    matches += Number(
      Array.isArray(completion) ? withoutEnds(ids) === withoutEnds(completion) : text?.trim() === completion.trim(),
    )
  }
  return { eval_exact_match: matches / rows.length }
}

// Metrics

/** A list with the log-probs of its completions under the model that is evaluated. */
export type ScoredList = { list: List; logps: readonly number[] }

export type RewardScale = {
  beta: number
  /** Rewards are beta log pi, not beta (log pi - log ref). */
  referenceFree: boolean
}

/**
 * By the names of `eval` events, in nats and units of reward: `logps/*` are means of sums over a completion, `nll` is per token
 * of the data, `margin` is the mean reward of the data less that of the own completion, with its interval of 95 %.
 */
export const selfPlayMetrics = (
  scored: readonly ScoredList[],
  { beta, referenceFree }: RewardScale,
): Record<string, number> => {
  const indexOf = (role: Role) => scored.map(({ list }) => list.roles.indexOf(role))
  const [data, own] = [indexOf('data'), indexOf('own')]
  const reward = ({ list, logps }: ScoredList, k: number) => beta * (logps[k] - (referenceFree ? 0 : list.refs[k]))
  const isSame = ({ list }: ScoredList, i: number) => list.replies[data[i]].join() === list.replies[own[i]].join()
  const margins = scored.map((each, i) => (isSame(each, i) ? 0 : reward(each, data[i]) - reward(each, own[i])))
  const logpGaps = scored.map((each, i) => (isSame(each, i) ? 0 : each.logps[data[i]] - each.logps[own[i]]))
  const tokens = scored.reduce((n, { list }, i) => n + list.replies[data[i]].length, 0)
  const margin = normalInterval(margins)
  const sums = (role: Role) => scored.flatMap(({ list, logps }) => logps.filter((_, k) => list.roles[k] === role))
  return {
    'eval_logps/data': mean(sums('data')),
    'eval_logps/own': mean(sums('own')),
    'eval_logps/helper': mean(sums('helper')),
    eval_nll: -sums('data').reduce((a, b) => a + b, 0) / tokens,
    eval_margin: margin.value,
    eval_margin_low: margin.low,
    eval_margin_high: margin.high,
    eval_win_rate: mean(margins.map(win)),
    eval_likelihood_win_rate: mean(logpGaps.map(win)),
  }
}

const win = (margin: number) => (margin > 0 ? 1 : margin < 0 ? 0 : 0.5)
