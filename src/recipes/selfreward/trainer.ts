/**
 * The whole loop of self-rewarding, phase by phase. What a phase makes lies in the run's folder, and the phases that are finished
 * are written down: a resumed run goes on in the one that was broken off.
 */
import { createReadStream } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { writeFolder } from '../../publish/modelFolder.ts'
import type { EndEvent } from '../../runs/events.ts'
import { writeWhole } from '../../util/files.node.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import {
  baselineName,
  closeModels,
  modelName,
  modelSettings,
  type Phase,
  pathIn,
  type SelfRewardContext,
} from './context.ts'
import { evaluationPhase } from './evaluation.ts'
import { promptPhase, readPrompts } from './newPrompts.ts'
import type { openPhases, Phases } from './phases.ts'
import { judgementPhase, pairPhase, readFigures, responsePhase } from './preferences.ts'
import { writeReport } from './report.ts'
import { baselineRowsPhase, eftFiles, eftPhase, seedRowsPhase } from './seedRows.ts'
import { trainOnPairs, trainOnSeedRows } from './training.ts'

/** Runs all phases that are not finished, to the result on disk. */
export async function* runSelfRewarding(
  context: SelfRewardContext,
  phases: Awaited<ReturnType<typeof openPhases>>,
): AsyncGenerator<TrainEvent> {
  try {
    let last = 0
    let stopped: EndEvent['stopped'] = 'done'
    if (yield* firstModel(context, phases)) last = 1
    else stopped = 'interrupted'
    const { iterations } = context.settings
    for (let iteration = 1; stopped === 'done' && iteration <= iterations; iteration++) {
      stopped = yield* runIteration(context, phases, iteration)
      if (stopped === 'done') last = iteration + 1
    }
    await closeModels(context)
    const output = stopped === 'interrupted' ? context.run.dir : await writeResult(context, last)
    if (stopped !== 'interrupted') await writeReport(context, last)
    yield {
      event: 'end',
      steps: context.steps.before,
      output,
      stopped,
      peak_memory: process.resourceUsage().maxRSS * 1024,
    }
  } finally {
    await closeModels(context)
  }
}

/** M1, from the seed rows. */
async function* firstModel(context: SelfRewardContext, phases: Phases): Phase {
  const { rankings, judge } = context
  const files = eftFiles(context)
  if (rankings && !judge?.writes) {
    if (!(yield* phases.run('seed-rows', () => baselineRowsPhase(context)))) return false
    if (!(yield* phases.run('seed', () => trainOnSeedRows(context, baselineName, files.baselineRows)))) return false
  }
  if (rankings && !(yield* phases.run('eft', () => eftPhase(context)))) return false
  if (!(yield* phases.run('rows', () => seedRowsPhase(context)))) return false
  if (!(yield* phases.run('m1', () => trainOnSeedRows(context, modelName(1), files.rows)))) return false
  return yield* phases.run('evaluation-1', () => evaluationPhase(context, 1))
}

/** The prompts, answers, scores and pairs of a model, and the next model. */
async function* runIteration(
  context: SelfRewardContext,
  phases: Phases,
  iteration: number,
): AsyncGenerator<TrainEvent, EndEvent['stopped']> {
  const prepare = [
    ['prompts', promptPhase],
    ['responses', responsePhase],
    ['judgements', judgementPhase],
    ['pairs', pairPhase],
  ] as const
  for (const [name, phase] of prepare)
    if (!(yield* phases.run(`${name}-${iteration}`, () => phase(context, iteration)))) return 'interrupted'
  const { pairs } = await readFigures(context, iteration)
  if (pairs === 0) {
    const prompts = (await readPrompts(context, iteration)).length
    yield {
      event: 'warning',
      code: 'no-pairs',
      message: `iteration ${iteration} made no pair of ${prompts} prompts, so nothing more can be learnt: the result is ${modelName(iteration)}; iterations/${iteration} has the texts and why each was dropped`,
    }
    return 'converged'
  }
  const next = modelName(iteration + 1)
  if (!(yield* phases.run(next, () => trainOnPairs(context, iteration)))) return 'interrupted'
  const evaluated = yield* phases.run(`evaluation-${iteration + 1}`, () => evaluationPhase(context, iteration + 1))
  return evaluated ? 'done' : 'interrupted'
}

/** The last model as the result of the run. @returns its folder */
const writeResult = async (context: SelfRewardContext, last: number): Promise<string> => {
  const { model, adapter } = await modelSettings(context, modelName(last))
  const from = adapter ?? model
  const to = pathIn(context, basename(from))
  const entries = await readdir(from, { withFileTypes: true, recursive: true })
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size))
  const bytes = sizes.reduce((a, b) => a + b, 0)
  await writeFolder(to, bytes, async (folder) => {
    for (const path of paths) {
      const copy = join(folder, relative(from, path))
      await mkdir(dirname(copy), { recursive: true })
      await writeWhole(copy, createReadStream(path))
    }
  })
  return to
}
