/**
 * The learning rate of a run that is given none: a resumed run keeps its own, a new one takes the method's default, which is
 * another for LoRA. It is filled in before the run folder is opened, so that run.json holds the number.
 */
import { z } from 'zod'
import { resolveModel } from '../../models/resolve.node.ts'
import { readInfo } from '../../runs/run.node.ts'
import { assert, badInput } from '../../util/fault.ts'
import { ratesOf } from './learningRates.ts'

type Settings = Readonly<Record<string, unknown>>

/** Settings in which the learning rate stands. */
export type WithLearningRate<C> = C extends { learningRate?: infer R }
  ? Omit<C, 'learningRate'> & { learningRate: NonNullable<R> }
  : C

/** Throws a Fault 'bad-flag' for an optimizer that no default suits, and the Faults of `resolveModel`. */
export const withLearningRate = async <C extends Settings>(
  method: string,
  schema: z.ZodObject,
  config: C,
): Promise<WithLearningRate<C>> => {
  const learningRate = config.learningRate ?? (await ofEarlierRun(config)) ?? (await ofMethod(method, schema, config))
  return { ...config, learningRate } as WithLearningRate<C>
}

const ofEarlierRun = async ({ resume, output }: Settings): Promise<unknown> =>
  resume
    ? readInfo(String(output)).then(
        ({ config }) => config.learningRate,
        () => undefined,
      )
    : undefined

const ofMethod = async (method: string, schema: z.ZodObject, config: Settings) => {
  // --find-lr looks for one
  if (config.optimizer === 'sgd' && !config.findLr)
    throw badInput(
      'bad-flag',
      'must be given with --optimizer sgd: the defaults are for Adam, and sgd needs much larger ones',
      { flag: '--learning-rate' },
    )
  const rates = ratesOf(method, await trainsAdapter(config))
  assert(rates, `${method} has no default learning rate`)
  // Self-play takes a list, with a rate for each iteration
  const list = z.safeParse(schema.shape.learningRate, [rates.default])
  return list.success ? list.data : rates.default
}

/** A new adapter, or one to go on with: of --adapter, of the run that --model names, or --model itself. */
const trainsAdapter = async (config: Settings): Promise<boolean> => {
  if (config.loraR !== undefined || config.adapter !== undefined) return true
  return (await resolveModel(config as { model: string })).adapter !== undefined
}
