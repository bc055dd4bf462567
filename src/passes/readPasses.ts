/** Forward passes without gradients: here, or by workers where the model has some. */
import type { PackedBatch } from '../data/batch.ts'
import type { Handle } from '../runtime/backend.ts'
import { inGroups } from '../util/inGroups.ts'
import { readAhead } from '../util/sharing.ts'
import { type StatName, targetStates, tokenPass } from './head.ts'
import { place } from './layout.ts'
import type { Model } from './model.ts'
import type { Pass, PassValue } from './passSharing.ts'
import { scoreCount, scorePass } from './scoreHead.ts'
import { forward } from './stack.ts'

const isStat = (name: PassValue): name is StatName => name !== 'scores' && name !== 'hidden'

/** Values of each name at all targets of the pass, flat. The language head runs only where one of its statistics is asked for. */
export const readPass = async (model: Model, { batch, names, settings }: Pass): Promise<Float32Array[]> => {
  const { backend } = model
  const placed = place(model, batch)
  const { hidden } = forward(model, placed, 'none')
  const h = targetStates(model, hidden, placed)
  const stats = names.filter(isStat)
  const made: Partial<Record<PassValue, Handle>> = {
    hidden: h,
    ...(stats.length > 0 && tokenPass(model, h, placed, stats, settings)),
    ...(names.includes('scores') && { scores: scorePass(model, h) }),
  }
  const values = Promise.all(names.map((name) => backend.read(made[name]!) as Promise<Float32Array>))
  backend.free([hidden, ...Object.values(made), ...placed.handles])
  return values
}

const widthOf = (model: Model, name: PassValue): number => {
  if (name === 'hidden') return model.config.hidden_size
  return name === 'scores' ? scoreCount(model) : 1
}

const targetCount = ({ targets }: PackedBatch) => targets.index.length

/** What each pass reads, in order. A pass alone is not shared out. */
export async function* readPasses(model: Model, passes: readonly Pass[]): AsyncGenerator<Float32Array[]> {
  const { shared } = model
  const local = (i: number) => readPass(model, passes[i])
  if (shared && passes.length > 1 && shared.workers() > 0) {
    const lengths = (i: number) => passes[i].names.map((name) => targetCount(passes[i].batch) * widthOf(model, name))
    yield* shared.results(passes, { adapter: model.scalings.size > 0, lengths, local })
  } else for (const i of passes.keys()) yield await local(i)
}

/** Passes, and what their values come to together. */
export type PassPlan<R> = { passes: readonly Pass[]; join(values: readonly Float32Array[][]): R }

/** What each plan comes to, in order. */
async function* readPlans<R>(model: Model, plans: readonly PassPlan<R>[]): AsyncGenerator<R> {
  const read = readPasses(
    model,
    plans.flatMap(({ passes }) => passes),
  )
  try {
    for (const { passes, join } of plans) {
      const values: Float32Array[][] = []
      while (values.length < passes.length) values.push((await read.next()).value)
      yield join(values)
    }
  } finally {
    await read.return(undefined)
  }
}

/** What each plan comes to, in order. Plans are taken one by one, or as many together as keep all workers busy. */
export async function* readPlansOf<R>(
  model: Model,
  plans: Iterable<PassPlan<R>> | AsyncIterable<PassPlan<R>>,
): AsyncGenerator<R> {
  for await (const group of inGroups(plans, () => readAhead(model.shared))) yield* readPlans(model, group)
}
