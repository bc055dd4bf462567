/**
 * Puts a checkpoint's weights on a backend and quantizes those of the blocks' linear layers, one at a time, so the
 * model is never in memory as a whole. As in PEFT's QLoRA, embeddings, head, norms and biases are not quantized; here
 * they are fp32.
 */
import type { StoredTensor } from '../checkpoint/stored.ts'
import type { Architecture, Config } from '../models/architecture.ts'
import { codesOf, scalesOf } from '../nn/scope.ts'
import type { Backend, Handle } from '../runtime/backend.ts'
import { type QuantFormat, type Quantization, quantization, quantize, storedShapes } from '../tensor/quantization.ts'
import { badInput } from '../util/fault.ts'
import { putWeights } from './load.ts'

/** What `--quantize` takes. */
export type Quantize = 'none' | QuantFormat

export type PlacedWeights = { params: Map<string, Handle>; quantized: Map<string, Quantization> }

/** The weights to quantize: those of all linear layers in the blocks. */
const quantizedNames = ({ layerPrefix, linears }: Architecture, config: Config): Set<string> =>
  new Set(
    Array.from({ length: config.num_hidden_layers }, (_, layer) =>
      linears(config).map((name) => `${layerPrefix(layer)}${name}.weight`),
    ).flat(),
  )

/**
 * @param params to be put on the backend; `exact` names those not to quantize, because they are trained or saved whole
 * @param onTensor called with the number of tensors done
 * Faults: 'bad-weight' where a value to quantize is not finite.
 */
export const putQuantized = async (
  backend: Backend,
  base: { architecture: Architecture; config: Config },
  params: ReadonlyMap<string, StoredTensor>,
  {
    format,
    exact,
    onTensor = () => {},
  }: { format: Quantize; exact: Iterable<string>; onTensor?: (done: number) => void },
): Promise<PlacedWeights> => {
  const quantized = new Map<string, Quantization>()
  if (format === 'none') return { params: await putWeights(backend, params, onTensor), quantized }
  const names = quantizedNames(base.architecture, base.config)
  for (const name of exact) names.delete(name)
  const kept = new Map([...params].filter(([name]) => !names.has(name)))
  const handles = await putWeights(backend, kept, onTensor)
  for (const [name, tensor] of params) {
    if (!names.has(name)) continue
    const weight = await quantizeWeight(tensor, format, base.architecture.conv1d === true)
    const shapes = storedShapes(weight.how)
    handles.set(codesOf(name), backend.put(weight.codes, shapes.codes, 'u8'))
    handles.set(scalesOf(name), backend.put(weight.scales, shapes.scales))
    quantized.set(name, weight.how)
    // The engine's copy of the last weight is gone before the next one is read
    await backend.idle()
    onTensor(kept.size + quantized.size)
  }
  return { params: handles, quantized }
}

const quantizeWeight = async (tensor: StoredTensor, format: QuantFormat, conv1d: boolean) => {
  const [rows, columns] = tensor.shape
  const values = await tensor.floats()
  const how = quantization(format, conv1d ? [columns, rows] : [rows, columns])
  const quantizedValues = quantize(conv1d ? transposed(values, rows, columns) : values, how)
  if (quantizedValues) return { how, ...quantizedValues }
  throw badInput(
    'bad-weight',
    `${tensor.name} holds a value that is not finite, which no block of numbers can be scaled to`,
    {
      flag: '--quantize',
    },
  )
}

/** [rows, columns] -> [columns, rows] */
const transposed = (values: Float32Array, rows: number, columns: number): Float32Array => {
  const out = new Float32Array(values.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j]
  return out
}
