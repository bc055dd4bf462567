/** Trains one cell of a study by its kind, grades it, and gives its result. */
import { createReadStream } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFolder } from '../../publish/modelFolder.ts'
import { assert, badInput } from '../../util/fault.ts'
import { writeWhole } from '../../util/files.node.ts'
import {
  type Cell,
  type CellResult,
  chosenRate,
  chosenSettings,
  helperId,
  type MethodCell,
  readResults,
  startId,
  type TrialCell,
} from './cells.ts'
import { type CellContext, keptModel, type SweepContext, type Trained } from './context.ts'
import { trainDistilled } from './distilled.ts'
import { modelCounts } from './flops.ts'
import { gradeModel } from './grade.ts'
import { readHelped, readSaid, writeHelped } from './helped.ts'
import { modelConfig } from './model.ts'
import { trainSelfPlay } from './selfPlay.ts'
import { trainSupervised } from './supervised.ts'
import { sumData } from './task.ts'

/** Throws the signal's reason when it was stopped; the next call resumes the cell. */
export const trainCell = async (
  cell: Cell,
  sweep: SweepContext,
  report: (share: number) => void,
): Promise<CellResult> => {
  const began = performance.now()
  const size = { hidden: cell.hidden, layers: sweep.plan.layers }
  const { architecture, config } = modelConfig(size, sweep.plan.vocabulary, sweep.tokenizer.eosId)
  const counts = modelCounts(architecture, config)
  const context: CellContext = {
    ...sweep,
    cell,
    counts,
    report,
    data: sumData(sweep.root, cell.seed, sweep.plan),
    results: await readResults(sweep.root),
    dir: join(sweep.root, 'runs', cell.id),
  }
  const { model, ...trained } = await trainByKind(context, cell)
  const { held, reported } = context.data
  const isTrial = cell.kind === 'rate' || cell.kind === 'trial'
  const [chosenBy, onReported] = await gradeModel(model, isTrial ? [held] : [held, reported], sweep.signal)
  if (cell.kind === 'start' || cell.kind === 'helper') await keepModel(model, keptModel(sweep.root, cell.id))
  if (cell.kind === 'helper') await writeHelped(context, model)
  await rm(context.dir, { recursive: true, force: true })
  return {
    id: cell.id,
    kind: cell.kind,
    ...('method' in cell && { method: cell.method }),
    ...size,
    seed: cell.seed,
    budget: cell.budget,
    parameters: counts.parameters,
    blocks: counts.blocks,
    ...trained,
    chosenBy,
    ...(onReported && { reported: onReported }),
    seconds: (performance.now() - began) / 1000,
  }
}

const trainByKind = async (context: CellContext, cell: Cell): Promise<Trained> => {
  const { data, results } = context
  const taught = { rows: data.taught, file: data.file }
  switch (cell.kind) {
    case 'rate':
      return alone(await trainSupervised(context, { ...taught, rate: cell.rate, shape: 'cooldown' }))
    case 'law':
    case 'helper': {
      const rate = chosenRate(results, cell.hidden)
      return alone(await trainSupervised(context, { ...taught, rate, shape: 'cooldown' }))
    }
    case 'start': {
      const rate = chosenRate(results, cell.hidden)
      return alone(await trainSupervised(context, { ...taught, rate, shape: 'constant' }))
    }
    case 'trial':
      return trainMethod(context, cell, cell)
    case 'method':
      return trainMethod(context, cell, settingsOf(context, cell))
  }
}

const alone = (trained: Omit<Trained, 'helperFlops'>): Trained => ({ ...trained, helperFlops: 0 })

const settingsOf = ({ results }: CellContext, { method, hidden }: MethodCell) => {
  if (method === 'sft') return { rate: chosenRate(results, hidden), beta: 1 }
  return chosenSettings(results, method === 'sft-slow' ? 'spin' : method, hidden)
}

const trainMethod = async (
  context: CellContext,
  cell: MethodCell | TrialCell,
  { rate, beta }: { rate: number; beta: number },
): Promise<Trained> => {
  const { data, root } = context
  const from = keptModel(root, startId(cell.hidden, cell.seed))
  const taught = { rows: data.taught, file: data.file, from, rate }
  switch (cell.method) {
    case 'sft':
    case 'sft-slow':
      return alone(await trainSupervised(context, { ...taught, shape: 'constant' }))
    case 'sft-decay':
      return alone(await trainSupervised(context, { ...taught, shape: 'falling' }))
    case 'sft-helper': {
      requireBetterHelper(context)
      const { flops } = await readHelped(context)
      const trained = await trainSupervised(context, { ...taught, ...(await readSaid(context)), shape: 'falling' })
      return { ...trained, helperFlops: flops }
    }
    case 'distill':
      requireBetterHelper(context)
      return trainDistilled(context, { from, rate })
    case 'asft':
      requireBetterHelper(context)
      return trainSelfPlay(context, { method: cell.method, from, rate, beta })
    case 'spin':
    case 't-spin':
      return trainSelfPlay(context, { method: cell.method, from, rate, beta })
  }
}

/** Throws a Fault where the helper knows no more than the model that it is to help: nothing could be learned from it. */
const requireBetterHelper = ({ cell, results }: CellContext): void => {
  const [helper, start] = [results.get(helperId(cell.seed)), results.get(startId(cell.hidden, cell.seed))]
  assert(helper && start, 'a cell is trained after those that it needs')
  if (helper.chosenBy.loss < start.chosenBy.loss) return
  throw badInput(
    'bad-flag',
    `of seed ${cell.seed} (hidden size ${helper.hidden}, loss ${helper.chosenBy.loss.toPrecision(3)}) is no better than the model that it is to help (hidden size ${start.hidden}, loss ${start.chosenBy.loss.toPrecision(3)}); leave asft, distill and sft-helper out of --methods, or take another --preset`,
    { flag: 'the helper' },
  )
}

/** The copy appears whole or not at all. */
const keepModel = (from: string, to: string) =>
  writeFolder(to, 0, async (temporary) => {
    for (const { name } of (await readdir(from, { withFileTypes: true })).filter((entry) => entry.isFile()))
      await writeWhole(join(temporary, name), createReadStream(join(from, name)))
  })
