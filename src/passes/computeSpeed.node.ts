/** What 8-bit products gain for a model on this machine, in the words that a run says it in. */
import type { ComputeEvent, WarningEvent } from '../runs/events.ts'
import { type ProductTimes, productTimes } from '../runtime/productTimes.node.ts'
import { numel } from '../util/shape.ts'
import type { Compute } from './int8.ts'
import type { Model } from './model.ts'
import { linearWeights } from './quantize.ts'

type Form = Exclude<Compute, 'fp32'>

/** What is trained: it decides which products there are. */
export type Trained = 'nothing' | 'adapter' | 'all'

/** Parameters of linear modules below which a run says nothing: it takes seconds either way. */
const worthSaying = 1e6
/** Parameters of linear modules from which a run in fp32 tells of 8-bit products that are so many times as fast. */
const large = 50e6
const worthTelling = 1.3
/** A form counts as faster from here. */
const faster = 1.05

/** How many times as fast as in fp32 all products with a linear weight are: x W', dy W, and dy' x where W is trained. */
export const speedOf = (form: Form, { fp32, oneTerm, twoTerms }: ProductTimes, trained: Trained): number => {
  const forward = form === 'int8-fast' ? oneTerm : twoTerms
  const backward = trained === 'nothing' ? { fp32: 0, form: 0 } : { fp32, form: oneTerm }
  // That of a trained weight's gradient stays in fp32
  const exact = trained === 'all' ? fp32 : 0
  return (fp32 + backward.fp32 + exact) / (forward + backward.form + exact)
}

type Sized = Pick<Model, 'architecture' | 'config' | 'params' | 'quantized' | 'int8'>

const linearParameters = ({ architecture, config, params, quantized, int8 }: Sized): number =>
  [...linearWeights(architecture, config)].reduce((sum, name) => {
    const coded = int8.get(name) ?? quantized.get(name)
    return sum + (coded ? coded.out * coded.inner : numel(params.get(name)?.shape ?? [0]))
  }, 0)

const times = (speed: number) => `${speed.toFixed(1)} times`

/**
 * Of a run in 8 bits what that gains, or a warning 'slow-compute' that it gains nothing. Of one in fp32 what it would gain,
 * where that is much. Nothing is measured for small models.
 */
export const computeEvents = async (
  model: Sized & Pick<Model, 'backend'>,
  compute: Compute,
  trained: Trained,
  measure: typeof productTimes = productTimes,
): Promise<(ComputeEvent | WarningEvent)[]> => {
  const parameters = linearParameters(model)
  const least = compute === 'fp32' ? large : worthSaying
  if (parameters < least || model.backend.description.provider !== 'cpu') return []
  const { hidden_size: inner, intermediate_size: out } = model.config
  const size = { inner, out }
  // A processor that cannot multiply 8-bit numbers is no fault of a run in fp32
  if (compute === 'fp32')
    return measure(model.backend, size).then(
      (found) => advice(found, trained),
      () => [],
    )
  const measured = await measure(model.backend, size)
  const speed = speedOf(compute, measured, trained)
  if (speed >= faster)
    return [
      { ...event(compute, speed), message: `${compute}: products ${times(speed)} as fast as fp32 on this processor` },
    ]
  const message = `${compute} products are not faster than fp32 here: ${times(speed)} as fast, on this processor and with ${inner} x ${out} weights; --compute fp32 is exact and as fast`
  return [{ event: 'warning', code: 'slow-compute', message }]
}

const event = (compute: Form, speed: number) => ({ event: 'compute', compute, speed }) as const

const advice = (measured: ProductTimes, trained: Trained): ComputeEvent[] => {
  const speed = speedOf('int8', measured, trained)
  if (speed <= worthTelling) return []
  const message = `--compute int8 would multiply ${times(speed)} as fast here, with weights rounded to 8 bits`
  return [{ ...event('int8', speed), message }]
}
