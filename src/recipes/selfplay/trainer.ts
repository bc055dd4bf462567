/**
 * The trainer of self-play. An iteration has phases: the policy completes the prompts, ranked lists are made with the log-probs
 * of the policy as it is, the policy is trained on them, and evaluated. The opponent of an iteration (its snapshot) is thus no
 * second model, but what was written before training: its completions and their log-probs. A phase looks only at the files of
 * the run's folder and makes what they lack, and its events are taken from the files, so that the log of a resumed run is that
 * of one that never stopped.
 */

import type { Completion } from '../../data/rows.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import type { EndEvent, WarningEvent } from '../../runs/events.ts'
import type { LineFile } from '../../store/lines.node.ts'
import { beginning, type EvalEvent, type Progress } from '../../train/loop.ts'
import { type ExampleStream, exampleStream } from '../../train/stream.ts'
import { badInput } from '../../util/fault.ts'
import { checkedBefore, closeLook } from '../check/beforeTraining.ts'
import { type Made, makeRowChecks, type SeenRow } from '../check/rowChecks.ts'
import { answered } from '../check/rowSigns.ts'
import { type Iteration, requireDiskSpace, resumeTraining } from '../trainer/checkpoints.ts'
import { countWarnings, requireKnownIds, surveyRows, unreadWarnings } from '../trainer/dataset.ts'
import { planFor, restorePolicy } from '../trainer/policy.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import { finishRun } from '../trainer/result.ts'
import { sampleAfter, sampleBefore } from '../trainer/samples.ts'
import { startEvent } from '../trainer/trainer.ts'
import { completeRows, type EncodedCompletions, encodeExternal, type SelfPlayRows } from './completions.ts'
import { interrupted, openIterationLists, openOwnCompletions, type Phase, type SelfPlayContext } from './context.ts'
import { evaluationPhase } from './evaluation.ts'
import { type List, makeLists } from './lists.ts'
import { iterationSteps, trainIteration } from './training.ts'

/** Plays all iterations, from the beginning or the newest checkpoint, to the result on disk. */
export async function* runSelfPlay(context: SelfPlayContext): AsyncGenerator<TrainEvent> {
  const { settings, run, signal, policy, dataset, rows, evalRows, helpers } = context
  const begin = await resumeTraining(run, settings.resume, policy)
  const { state, progress: saved } = begin
  yield* begin.warnings
  const checks = makeRowChecks('sft', context.tokenization, closeLook({ train: rows, evalRows }))
  const streams = {
    train: surveyStream(context, rows, checks.train),
    eval: evalRows && surveyStream(context, evalRows, checks.held),
  }
  yield* surveyRows([streams.train, streams.eval], signal)
  const warnings = state || signal.aborted ? [] : checkedBefore(checks, streams.train)
  const totalSteps = laterSteps(context, 0)
  await requireDiskSpace(run, policy, settings, totalSteps - saved.step, false)
  const { examples: first } = await streams.train.take(0, firstSteps * settings.batchSize)
  if (!state) policy.plan = planFor(policy, settings.memory, largestBatch(context, first))
  const examples = {
    ...streams,
    checks,
    dropped: { train: dataset.rows.dropped, eval: dataset.evalRows?.dropped ?? {} },
    files: [...dataset.rows.files, ...(dataset.evalRows?.files ?? [])],
  }
  const withHelpers = { ...policy, files: [...policy.files, ...helpers.files] }
  yield await startEvent({ policy: withHelpers, examples }, saved.step, totalSteps)
  if (!state) yield* [...unreadWarnings([dataset.rows, dataset.evalRows]), ...warnings]
  if (state) await restorePolicy(policy, state.file)
  const sampling = { run, policy, tokenization: context.tokenization, rows: evalRows ?? rows, signal }
  if (saved.step === 0) yield* sampleBefore(sampling)
  let iteration = begin.iteration ?? { number: 1, start: 0 }
  let progress: Progress = state ? { ...saved, step: saved.step - iteration.start } : beginning
  let stopped: EndEvent['stopped'] = 'done'
  for (;;) {
    const played = yield* runIteration(context, iteration, progress)
    progress = played.progress
    stopped = played.stopped ?? (settings.stopMargin && hasNoMargin(played.evaluation) ? 'converged' : 'done')
    if (stopped !== 'done' || iteration.number >= settings.iterations) break
    iteration = { number: iteration.number + 1, start: iteration.start + progress.step }
    progress = { ...beginning, num_tokens: progress.num_tokens }
  }
  const total = { ...progress, step: iteration.start + progress.step }
  yield* finishRun({ policy, settings, run, afterwards: () => sampleAfter(sampling) }, { progress: total, stopped })
}

/** The interval of the margin has 0 in it. */
const hasNoMargin = (evaluation: EvalEvent | undefined) =>
  Number(evaluation?.eval_margin_low) <= 0 && Number(evaluation?.eval_margin_high) >= 0

/** Rows with their external completions, to be looked at before anything is sampled. */
const surveyStream = (
  { tokenization, helpers }: SelfPlayContext,
  rows: SelfPlayRows,
  look: (seen: SeenRow) => void,
): ExampleStream<EncodedCompletions> =>
  exampleStream<Completion, EncodedCompletions>({
    length: rows.length,
    row: rows.row,
    where: rows.where,
    order: (position) => position,
    epochs: 1,
    example: (row) => {
      const texts = [row.completion, ...Object.values(row.beside ?? {})]
      const encoded = encodeExternal(
        tokenization,
        row,
        texts.map((completion) => ({ completion })),
      )
      requireKnownIds(row, typeof encoded === 'string' ? [] : [encoded.prompt, ...encoded.completions], tokenization)
      for (const helper of helpers.list) helper.requirePrompt?.(row)
      return encoded
    },
    truncated: () => false,
    surveyed: (row, { example, odd, where }) => look({ row, made: madeOf(example), odd, where }),
    keptCharacters: 0,
  })

/** The data's completion is what is learnt. */
const madeOf = (example: EncodedCompletions | string): Made | string =>
  typeof example === 'string'
    ? example
    : {
        sequences: () => [answered('completion', example.prompt, example.completions[0])],
        truncated: example.odd.includes('truncated'),
      }

/** Batches that say how large one gets. */
const firstSteps = 8

/** Tokens of the largest micro-batch; the completions that are still to be made are taken to be as long as they may get. */
const largestBatch = ({ settings, helpers, historic }: SelfPlayContext, first: readonly EncodedCompletions[]) => {
  const B = settings.batchSize
  const K = 2 + helpers.list.length + Number(historic)
  const longest = Math.max(
    ...first.map(({ prompt, completions }) => prompt.length + completions.reduce((n, { length }) => n + length, 0)),
  )
  const T = longest + (K - 1) * settings.maxNewTokens
  return { N: B * T, B, T }
}

/** Steps of the iterations after this one, at most. */
const laterSteps = ({ settings, rows }: SelfPlayContext, number: number): number => {
  let steps = 0
  for (let n = number + 1; n <= settings.iterations; n++)
    steps += iterationSteps(settings, settings.mixIterations && n > 1 ? 2 * rows.length : rows.length)
  return steps
}

// One iteration

type IterationResult = { progress: Progress; stopped?: 'interrupted' | 'converged'; evaluation?: EvalEvent }

/** @param progress of the iteration: its own steps. @returns it, and why the run ends here, if it does */
async function* runIteration(
  context: SelfPlayContext,
  iteration: Iteration,
  progress: Progress,
): AsyncGenerator<TrainEvent, IterationResult> {
  const { policy, settings, run, rows, signal, loss, tspin } = context
  const { number, start } = iteration
  const isNew = progress.step === 0
  if (isNew && (yield* preparationPhase(context, number, start)) === interrupted)
    return { progress, stopped: 'interrupted' }
  const { path, file, total } = await openIterationLists(context, rows, number)
  if (file.length < total)
    throw badInput('bad-run', 'has lost lines, or some are not what was written; begin a new run', { file: path })
  const { lines, warnings } = await trainableLines(file, total)
  if (isNew) {
    yield* warnings
    yield* sampleEvent(context, number, start)
  }
  if (lines.length === 0) return { progress, stopped: 'converged' }
  if (signal.aborted) return { progress, stopped: 'interrupted' }
  if (isNew) resetOptimizer(context)
  const trained = yield* trainIteration(
    {
      policy,
      run,
      settings,
      signal,
      loss: loss(number),
      usesReference: !tspin,
      file,
      lines,
      iteration,
      laterSteps: laterSteps(context, number),
    },
    progress,
  )
  if (trained.interrupted) return { progress: trained.progress, stopped: 'interrupted' }
  const evaluation = yield* evaluationPhase(context, number, start + trained.progress.step)
  if (evaluation === interrupted) return { progress: trained.progress, stopped: 'interrupted' }
  yield evaluation
  return { progress: trained.progress, evaluation }
}

/** Completions and lists of an iteration, and before the first the evaluation of the model without any training. */
async function* preparationPhase(context: SelfPlayContext, number: number, step: number): Phase<void> {
  const { rows, evalRows, helpers, signal } = context
  const sets = evalRows ? [rows, evalRows] : [rows]
  if (number === 1 && !(yield* helpers.prepare(sets, signal))) return interrupted
  for (const set of sets) {
    for (const phase of [completionPhase, listPhase])
      if ((yield* phase(context, set, number)) === interrupted) return interrupted
  }
  if (number > 1) return
  const before = yield* evaluationPhase(context, 0, step)
  if (before === interrupted) return interrupted
  yield before
}

async function* completionPhase(context: SelfPlayContext, rows: SelfPlayRows, number: number): Phase<void> {
  const { settings, policy, tokenization, signal } = context
  const seed = samplingSeed('selfPlay', settings.seed, number, rows.name === 'train' ? 1 : 2)
  const file = await openOwnCompletions(context, rows, number)
  yield* completeRows(
    { model: policy.model, share: policy.sharing?.sampling },
    tokenization,
    rows,
    file,
    { ...settings, seed },
    signal,
  )
  if (file.length < rows.length) return interrupted
}

async function* listPhase(context: SelfPlayContext, rows: SelfPlayRows, number: number): Phase<void> {
  const { sources, file, total } = await openIterationLists(context, rows, number)
  yield* makeLists(context.policy.model, sources, file, context.signal)
  if (file.length < total) return interrupted
}

/** Lines of the file that are trained on, and warnings about the others. */
const trainableLines = async (
  file: LineFile<List>,
  total: number,
): Promise<{ lines: number[]; warnings: WarningEvent[] }> => {
  const lines: number[] = []
  const counts = new Map<string, number>()
  for (let i = 0; i < total; i++) {
    const { dropped, odd } = await file.read(i)
    for (const what of dropped ? [dropped, ...odd] : odd) counts.set(what, (counts.get(what) ?? 0) + 1)
    if (!dropped) lines.push(i)
  }
  return { lines, warnings: countWarnings(counts, messages) }
}

const messages: Record<string, string> = {
  equal: 'rows not trained on: all their completions are equal, so there is nothing to tell apart',
  'prompt-too-long': 'rows not used: the prompt leaves no room for a completion',
  'empty-prompt': 'rows not used: the prompt is empty',
  'helper-empty': 'rows not used: a helper model has no completion for them',
}

/** The policy's completion of the first row, for the reader of the log. */
async function* sampleEvent(context: SelfPlayContext, number: number, step: number): AsyncGenerator<TrainEvent> {
  const file = await openOwnCompletions(context, context.rows, number)
  const { prompt } = await context.rows.row(0)
  const { text } = await file.read(0)
  if (text !== undefined && typeof prompt === 'string')
    yield { event: 'sample', step, iteration: number, prompt, completion: text } as TrainEvent
}

/** Each iteration has an optimizer of its own. */
const resetOptimizer = ({ policy }: SelfPlayContext) => {
  for (const { state } of policy.arenas) for (const handle of Object.values(state)) policy.backend.zero(handle)
}
