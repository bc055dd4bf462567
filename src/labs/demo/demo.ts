/**
 * The demo: what alignment is for, in three acts and under a minute. A model learns to add from a class that is often
 * one too many (sft); gives answers of its own, which a checker puts in order; and learns from the order alone which of
 * its answers are wanted (dpo, K-wise Plackett-Luce). Peculiar: every step is the recipe, the run folder and the decoder
 * that a real model gets, and the sums that are counted at the end were in no step.
 */
import type { z } from 'zod'
import { preference } from '../../recipes/dpo.ts'
import { sft } from '../../recipes/sft.ts'
import type { Recipe, TrainEvent } from '../../recipes/trainer/recipe.ts'
import { writeDrawings, writeJson, writeRows, writeText } from '../../report/files.node.ts'
import { readInfo } from '../../runs/run.node.ts'
import { type Share, wilson } from '../../statistics/intervals.ts'
import { runFailure } from '../../util/fault.ts'
import { tagged } from '../channel.ts'
import { curvesOf } from '../runCurves.ts'
import {
  classAnswers,
  dealSums,
  distance,
  leastLoss,
  question,
  type Ranking,
  rankAnswers,
  type Sum,
  totalOf,
} from './addition.ts'
import { ask } from './completions.ts'
import { claimDemoFolder, type DemoFolder, demoFormat } from './folder.ts'
import { writeDemoModel } from './model.ts'
import { demoReport } from './report.ts'
import { type DemoSizes, type demoSchema, demoSizes } from './settings.ts'

/** A sum that was in no step, with the likeliest answers before and after alignment. */
export type Tested = { prompt: string; right: string; before: string; after: string }

/** How many answers are right, one off, and further off. */
export type Kinds = { right: number; close: number; wrong: number }

export type DemoResult = {
  seed: number
  sizes: DemoSizes
  parameters: number
  /** The least loss of the first act, in nats per token: how little the class agrees with itself. */
  floor: number
  /** Right answers of the model that imitates the class, and of the aligned one, to the same sums. */
  before: Share
  after: Share
  kinds: { before: Kinds; after: Kinds }
  /** Sums answered wrong before and right after, and the other way round. */
  mended: number
  spoiled: number
  rankings: number
  /** Sums among those ranked that the model itself had answered right, in one try at least. */
  knew: number
  seconds: { learn: number; compare: number; align: number }
}

type Act = 1 | 2 | 3

export type DemoEvent =
  | { event: 'act'; act: Act }
  | (TrainEvent & { act: Act })
  | { event: 'accuracy'; act: Act; share: Share }
  | { event: 'rankings'; act: Act; rankings: Ranking[]; asked: number }
  | { event: 'stopped' }
  | { event: 'result'; result: DemoResult; tested: Tested[]; folder: DemoFolder }

type Extras = { signal?: AbortSignal; sizes?: DemoSizes; command?: readonly string[] }

/** Runs the demo. After an abort the last event is `stopped`. Throws the Faults of its folder and of the recipes. */
export async function* demo(settings: z.output<typeof demoSchema>, extras: Extras = {}): AsyncGenerator<DemoEvent> {
  const { signal = new AbortController().signal } = extras
  try {
    yield* acts(settings, { sizes: demoSizes, command: [], ...extras, signal })
  } catch (error) {
    if (error !== signal.reason) throw error
    yield { event: 'stopped' }
  }
}

async function* acts(
  { output, ...engine }: z.output<typeof demoSchema>,
  { sizes, ...running }: Required<Extras>,
): AsyncGenerator<DemoEvent> {
  const folder = await claimDemoFolder(output)
  const sums = dealSums(engine.seed, sizes)
  const asking = { ...engine, signal: running.signal }
  const lap = stopwatch()

  yield { event: 'act', act: 1 }
  const parameters = await writeDemoModel(folder.base, engine.seed)
  const lessons = classAnswers(engine.seed, sums.taught, sizes.students)
  await writeRows(folder.lessons, lessons)
  const files = { model: folder.base, data: [folder.lessons], output: folder.sft }
  const imitator = yield* tagged({ act: 1 }, trained(sft, { ...engine, ...files, ...sizes.learn }, running))
  const before = yield* tagged({ act: 1 }, ask(sums.tested.map(question), { ...asking, model: imitator }))
  yield { event: 'accuracy', act: 1, share: rightOf(sums.tested, before) }
  const learn = lap()

  yield { event: 'act', act: 2 }
  const { samples } = sizes
  const own = yield* tagged({ act: 2 }, ask(sums.ranked.map(question), { ...asking, model: imitator, samples }))
  const rankings = sums.ranked.flatMap((sum, i) => rankAnswers(sum, own[i]) ?? [])
  if (!rankings.length) throw runFailure('no-rankings', 'no sum was given three different answers; try another --seed')
  await writeRows(folder.rankings, rankings)
  yield { event: 'rankings', act: 2, rankings, asked: sums.ranked.length }
  const compare = lap()

  yield { event: 'act', act: 3 }
  const ranked = { model: imitator, data: [folder.rankings], output: folder.dpo }
  const aligned = yield* tagged({ act: 3 }, trained(preference, { ...engine, ...ranked, ...sizes.align }, running))
  const after = yield* tagged({ act: 3 }, ask(sums.tested.map(question), { ...asking, model: aligned }))
  yield { event: 'accuracy', act: 3, share: rightOf(sums.tested, after) }
  const seconds = { learn, compare, align: lap() }

  const knew = sums.ranked.filter((sum, i) => own[i].some((answer) => distance(sum, answer) === 0)).length
  const counted = { seed: engine.seed, sizes, parameters, floor: leastLoss(lessons), rankings: rankings.length, knew }
  const result = { ...counted, seconds, ...changes(sums.tested, before, after) }
  const tested = sums.tested.map((sum, i) => testedRow(sum, before[i][0], after[i][0]))
  await write(folder, output, { result, tested, rankings })
  yield { event: 'result', result, tested, folder }
}

/** Runs a recipe whole. @returns the folder of its model. Throws the signal's reason when it was interrupted. */
async function* trained<S extends z.ZodObject>(
  recipe: Recipe<S>,
  settings: Record<string, unknown>,
  { signal, command }: Pick<Required<Extras>, 'signal' | 'command'>,
): AsyncGenerator<TrainEvent, string> {
  let output = ''
  for await (const event of recipe.run(recipe.schema.parse(settings), { signal, command })) {
    yield event
    if (event.event === 'end') output = event.output
  }
  signal.throwIfAborted()
  return output
}

/** @returns a function that tells the seconds since it was last asked */
const stopwatch = () => {
  let last = performance.now()
  return () => {
    const seconds = (performance.now() - last) / 1000
    last += 1000 * seconds
    return seconds
  }
}

type Answers = readonly (readonly string[])[]

const rightOf = (sums: readonly Sum[], answers: Answers): Share => wilson(kindsOf(sums, answers).right, sums.length)

const kindsOf = (sums: readonly Sum[], answers: Answers): Kinds => {
  const off = sums.map((sum, i) => distance(sum, answers[i][0]))
  const right = off.filter((by) => by === 0).length
  const close = off.filter((by) => by === 1).length
  return { right, close, wrong: sums.length - right - close }
}

const changes = (sums: readonly Sum[], before: Answers, after: Answers) => {
  const right = (answers: Answers) => sums.map((sum, i) => distance(sum, answers[i][0]) === 0)
  const [was, is] = [right(before), right(after)]
  return {
    before: rightOf(sums, before),
    after: rightOf(sums, after),
    kinds: { before: kindsOf(sums, before), after: kindsOf(sums, after) },
    mended: sums.filter((_, i) => !was[i] && is[i]).length,
    spoiled: sums.filter((_, i) => was[i] && !is[i]).length,
  }
}

const testedRow = (sum: Sum, before: string, after: string): Tested => ({
  prompt: question(sum),
  right: String(totalOf(sum)),
  before,
  after,
})

/** Everything that can be looked at afterwards; the file that says "done" last. */
const write = async (
  folder: DemoFolder,
  output: string,
  findings: { result: DemoResult; tested: Tested[]; rankings: Ranking[] },
) => {
  const curves = { sft: await curvesOf(folder.sft), dpo: await curvesOf(folder.dpo) }
  const { html, plots } = demoReport({ ...findings, curves, output, made: await readInfo(folder.dpo) })
  await writeRows(folder.tested, findings.tested)
  await writeDrawings(folder.plots, plots)
  await writeText(folder.report, html)
  await writeJson(folder.results, { format: demoFormat, state: 'done', ...findings.result })
}
