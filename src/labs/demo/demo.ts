/**
 * The demo: what alignment is for, in about a minute. A model learns to add from a class that is often one too many (sft).
 * It samples completions of other sums, which a checker ranks. It learns from the ranking alone which of its completions are
 * wanted (dpo, K-wise Plackett-Luce). Beside that the same model learns from right answers to the same sums: by imitation
 * (sft), by self-play (spin), and by self-play with a helper model (asft). Every act uses the recipe, the run folder and the
 * decoder that a real model gets, and the sums of the evaluation were in no training step.
 */
import type { z } from 'zod'
import { asft } from '../../recipes/asft.ts'
import { dpo } from '../../recipes/dpo.ts'
import { sft } from '../../recipes/sft.ts'
import { spin } from '../../recipes/spin.ts'
import type { TrainEvent } from '../../recipes/trainer/recipe.ts'
import { writeDrawings, writeJson, writeRows, writeText } from '../../report/files.node.ts'
import { curvesOf } from '../../runs/curves.node.ts'
import { readInfo } from '../../runs/run.node.ts'
import type { Share } from '../../statistics/intervals.ts'
import { tagged } from '../../util/eventStream.ts'
import { runFailure } from '../../util/fault.ts'
import { completePrompts, maxNewTokens } from '../completePrompts.ts'
import { runRecipe } from '../runRecipe.ts'
import {
  classCompletions,
  errorOf,
  lossFloor,
  promptOf,
  type Ranking,
  rankCompletions,
  rightAnswers,
  splitSums,
} from './addition.ts'
import { claimDemoFolder, type DemoFolder, demoFormat } from './folder.ts'
import { writeDemoModel } from './model.ts'
import { demoReport } from './report.ts'
import {
  type AnsweredSum,
  type Beside,
  besides,
  type Completions,
  compareCompletions,
  type DemoResult,
  shareRight,
  type TestedSum,
  testedSum,
} from './result.ts'
import { type DemoSizes, type demoSchema, demoSizes } from './settings.ts'

type Act = 1 | 2 | 3 | 4 | 5 | 6

export type DemoEvent =
  | { event: 'act'; act: Act }
  | (TrainEvent & { act: Act })
  | { event: 'accuracy'; act: Act; share: Share }
  | { event: 'rankings'; act: Act; rankings: Ranking[]; asked: number }
  | { event: 'answers'; act: Act; answers: AnsweredSum[] }
  | { event: 'stopped' }
  | { event: 'result'; result: DemoResult; tested: TestedSum[]; folder: DemoFolder }

/** Sums whose answers are shown as soon as the model is aligned. */
const shownAnswers = 6

type DemoOptions = { signal?: AbortSignal; sizes?: DemoSizes; command?: readonly string[] }

/** Runs the demo. After an abort the last event is `stopped`. Throws the Faults of its folder and of the recipes. */
export async function* demo(
  settings: z.output<typeof demoSchema>,
  options: DemoOptions = {},
): AsyncGenerator<DemoEvent> {
  const { signal = new AbortController().signal } = options
  try {
    yield* acts(settings, { sizes: demoSizes, command: [], ...options, signal })
  } catch (error) {
    if (error !== signal.reason) throw error
    yield { event: 'stopped' }
  }
}

async function* acts(
  { output, ...engine }: z.output<typeof demoSchema>,
  { sizes, ...running }: Required<DemoOptions>,
): AsyncGenerator<DemoEvent> {
  const folder = await claimDemoFolder(output)
  const sums = splitSums(engine.seed, sizes)
  const testPrompts = sums.tested.map(promptOf)
  const sampling = { ...engine, signal: running.signal }
  const lap = stopwatch()

  yield { event: 'act', act: 1 }
  const parameters = await writeDemoModel(folder.base, engine.seed)
  const trainRows = classCompletions(engine.seed, sums.taught, sizes.students)
  await writeRows(folder.lessons, trainRows)
  const sftModel = yield* tagged(
    { act: 1 },
    runRecipe(
      sft,
      { ...engine, ...sizes.learn, model: folder.base, data: [folder.lessons], output: folder.sft },
      running,
    ),
  )
  const before = yield* tagged({ act: 1 }, completePrompts(testPrompts, { ...sampling, model: sftModel }))
  yield { event: 'accuracy', act: 1, share: shareRight(sums.tested, before) }
  const learn = lap()

  yield { event: 'act', act: 2 }
  const samples = yield* tagged(
    { act: 2 },
    completePrompts(sums.ranked.map(promptOf), { ...sampling, model: sftModel, samples: sizes.samples }),
  )
  const rankings = sums.ranked.flatMap((sum, i) => rankCompletions(sum, samples[i]) ?? [])
  if (!rankings.length) throw runFailure('no-rankings', 'no sum was given three different answers; try another --seed')
  await writeRows(folder.rankings, rankings)
  yield { event: 'rankings', act: 2, rankings, asked: sums.ranked.length }
  const compare = lap()

  yield { event: 'act', act: 3 }
  const dpoModel = yield* tagged(
    { act: 3 },
    runRecipe(
      dpo,
      { ...engine, ...sizes.align, model: sftModel, data: [folder.rankings], output: folder.dpo },
      running,
    ),
  )
  const after = yield* tagged({ act: 3 }, completePrompts(testPrompts, { ...sampling, model: dpoModel }))
  yield { event: 'accuracy', act: 3, share: shareRight(sums.tested, after) }
  const answers = sums.tested.slice(0, shownAnswers).map((sum, i) => testedSum(sum, before[i][0], after[i][0]))
  yield { event: 'answers', act: 3, answers }
  const align = lap()

  await writeRows(folder.right, rightAnswers(sums.ranked))
  const settings = { ...engine, model: sftModel, data: [folder.right] }
  const selfPlay = { ...settings, ...sizes.selfPlay, maxNewTokens }
  const training: Record<Beside, () => AsyncGenerator<TrainEvent, string>> = {
    imitation: () => runRecipe(sft, { ...settings, ...sizes.imitate, output: folder.imitation }, running),
    spin: () => runRecipe(spin, { ...selfPlay, output: folder.spin }, running),
    // The aligned model stands in for a larger one
    asft: () => runRecipe(asft, { ...selfPlay, helper: [dpoModel], output: folder.asft }, running),
  }
  const found = {} as Record<Beside, { completions: Completions; seconds: number }>
  for (const [i, name] of besides.entries()) {
    const act = (4 + i) as Act
    yield { event: 'act', act }
    const model = yield* tagged({ act }, training[name]())
    const completions = yield* tagged({ act }, completePrompts(testPrompts, { ...sampling, model }))
    yield { event: 'accuracy', act, share: shareRight(sums.tested, completions) }
    found[name] = { completions, seconds: lap() }
  }

  const outcome = (name: Beside) => ({
    ...compareCompletions(sums.tested, before, found[name].completions),
    seconds: found[name].seconds,
  })
  const result: DemoResult = {
    seed: engine.seed,
    sizes,
    parameters,
    floor: lossFloor(trainRows),
    rankings: rankings.length,
    knew: sums.ranked.filter((sum, i) => samples[i].some((completion) => errorOf(sum, completion) === 0)).length,
    seconds: { learn, compare, align },
    ...compareCompletions(sums.tested, before, after),
    beside: { imitation: outcome('imitation'), spin: outcome('spin'), asft: outcome('asft') },
  }
  const tested = sums.tested.map((sum, i) => ({
    ...testedSum(sum, before[i][0], after[i][0]),
    imitation: found.imitation.completions[i][0],
    spin: found.spin.completions[i][0],
    asft: found.asft.completions[i][0],
  }))
  await write(folder, output, { result, tested, rankings })
  yield { event: 'result', result, tested, folder }
}

/** @returns a function that gives the seconds since its last call */
const stopwatch = () => {
  let last = performance.now()
  return () => {
    const seconds = (performance.now() - last) / 1000
    last += 1000 * seconds
    return seconds
  }
}

/** Writes rows, plots, the page and, last, the file that says "done". */
const write = async (
  folder: DemoFolder,
  output: string,
  findings: { result: DemoResult; tested: TestedSum[]; rankings: Ranking[] },
) => {
  const curves = { sft: await curvesOf(folder.sft), dpo: await curvesOf(folder.dpo) }
  const { html, plots } = demoReport({ ...findings, curves, output, made: await readInfo(folder.dpo) })
  await writeRows(folder.tested, findings.tested)
  await writeDrawings(folder.plots, plots)
  await writeText(folder.report, html)
  await writeJson(folder.results, { format: demoFormat, state: 'done', ...findings.result })
}
