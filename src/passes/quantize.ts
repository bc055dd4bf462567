/**
 * Puts a checkpoint's weights on a backend and quantizes those of the blocks' linear layers, one at a time, so the
 * model is never in memory as a whole. As in PEFT's QLoRA, embeddings, head, norms and biases are not quantized; here
 * they are fp32.
 */
import type { StoredTensor } from '../checkpoint/stored.ts'
import type { Architecture, Config } from '../models/architecture.ts'
import { codesOf, type Int8Form, magnitudeOf, scalesOf } from '../nn/scope.ts'
import type { Backend, Handle } from '../runtime/backend.ts'
import { codeType } from '../runtime/codeType.ts'
import {
  dequantize,
  type QuantFormat,
  type Quantization,
  quantization,
  quantize,
  storedShapes,
} from '../tensor/quantization.ts'
import { badInput } from '../util/fault.ts'
import { startCalibration } from './calibrate.ts'
import { type CodedWeight, type Compute, int8Head, int8Weight, requireFinite } from './int8.ts'
import { putWeights } from './load.ts'
import { leastVocabulary } from './tiledHead.ts'

/** What `--quantize` takes. */
export type Quantize = 'none' | QuantFormat

export type PlacedWeights = {
  params: Map<string, Handle>
  quantized: Map<string, Quantization>
  int8: Map<string, Int8Form>
}

export type PlaceOptions = {
  /** How the weights of the blocks' linear modules are kept. */
  format: Quantize
  /** How products with them are computed. */
  compute: Compute
  /** Whether gradients go back through them. */
  back: boolean
  /** Names of weights whose products stay in fp32, because they are trained beside others that are not, or saved whole. */
  exact: Iterable<string>
  /** Trained parameters, which are on the backend: those of the linear modules get codes beside their values. */
  trained?: ReadonlyMap<string, Handle>
  /** Token ids of the text that `int8-fast` follows from (calibrationText.node.ts). */
  calibration: readonly number[]
  /** Called with the number of tensors done: of `params`, and of those among `trained` that get codes. */
  onTensor?: (done: number) => void
}

/** The weights of all linear modules in the blocks, but for routers. */
export const linearWeights = ({ layerPrefix, linears, shapes, experts }: Architecture, config: Config): Set<string> => {
  const known = shapes(config)
  const rounded = linears(config).filter((name) => name !== experts?.router)
  const named = Array.from({ length: config.num_hidden_layers }, (_, layer) =>
    rounded.map((name) => `${layerPrefix(layer)}${name}.weight`),
  )
  return new Set(named.flat().filter((name) => known.has(name)))
}

/**
 * @param params to be put on the backend
 * Faults: 'bad-weight' where a value to quantize is not finite; 'no-int8' of `codeType`, and for experts.
 */
export const putQuantized = async (
  backend: Backend,
  base: { architecture: Architecture; config: Config },
  params: ReadonlyMap<string, StoredTensor>,
  { format, compute, back, exact, trained = new Map(), calibration, onTensor = () => {} }: PlaceOptions,
): Promise<PlacedWeights> => {
  if (compute !== 'fp32' && base.architecture.experts)
    throw badInput('no-int8', `the experts of ${base.architecture.name} are not computed in 8-bit whole numbers`, {
      flag: '--compute',
    })
  const placed: PlacedWeights = { params: new Map(), quantized: new Map(), int8: new Map() }
  const names =
    format === 'none' && compute === 'fp32' ? new Set<string>() : linearWeights(base.architecture, base.config)
  for (const name of exact) names.delete(name)
  const directed = (all: ReadonlyMap<string, unknown>) =>
    [...names].some((name) => all.has(magnitudeOf(name.slice(0, -'.weight'.length))))
  if (directed(params) || directed(trained))
    throw badInput('bad-adapter', 'DoRA needs the lengths of the rows of weights that are not rounded; leave it out', {
      flag: format === 'none' ? '--compute' : '--quantize',
    })
  const head = int8HeadOf(base, compute, params, exact)
  const kept = new Map([...params].filter(([name]) => !names.has(name) && name !== head?.alone))
  placed.params = await putWeights(backend, kept, onTensor)
  let done = kept.size
  const next = async () => {
    // The engine's copy of the last weight is gone before the next one is read
    await backend.idle()
    onTensor(++done)
  }
  if (compute === 'fp32') {
    const put = blockPlacer(backend, base.architecture, format as QuantFormat, placed)
    for (const [name, tensor] of params) {
      if (!names.has(name)) continue
      await put(name, tensor)
      await next()
    }
    return placed
  }
  const { conv1d = false } = base.architecture
  const open = async (name: string): Promise<OpenedWeight> => {
    const known = trained.get(name)
    if (known) {
      requireFinite(name, await backend.read(known))
      return { W: known, close: next }
    }
    const tensor = params.get(name)!
    const values = await valuesOf(tensor, format, conv1d)
    requireFinite(name, values)
    const W = backend.put(values, tensor.shape)
    const close = async () => {
      backend.free([W])
      await next()
    }
    return { W, close }
  }
  const codes = { dtype: await codeType(backend), back }
  const coded =
    compute === 'int8'
      ? codesOneByOne(backend, base.architecture, names, open, codes)
      : calibratedCodes(backend, base, names, open, codes, new Map([...placed.params, ...trained]), calibration)
  const add = (name: string, { form, handles }: CodedWeight) => {
    for (const [part, handle] of Object.entries(handles)) placed.params.set(part, handle)
    placed.int8.set(name, form)
  }
  for await (const [name, weight] of coded) add(name, weight)
  if (head) {
    const tied = placed.params.get(head.weight)
    const { W, close } = tied ? { W: tied, close: async () => {} } : await open(head.weight)
    if (tied) requireFinite(head.weight, await backend.read(tied))
    add(head.name, int8Head(backend, head.name, W, { ...codes, terms: 2 }))
    await close()
  }
  return placed
}

/**
 * The language head, where its products are computed from codes: its weight, which is frozen and large; the name that the codes have;
 * and `alone`, the same weight where nothing else reads it.
 */
const int8HeadOf = (
  { architecture, config }: { architecture: Architecture; config: Config },
  compute: Compute,
  params: ReadonlyMap<string, StoredTensor>,
  exact: Iterable<string>,
): { weight: string; name: string; alone?: string } | undefined => {
  if (compute !== 'int8-fast' || config.vocab_size < leastVocabulary) return undefined
  if (architecture.encoder || architecture.scores === 'alone') return undefined
  const { weight, module } = architecture.head(config)
  if (!params.has(weight) || [...exact].includes(weight)) return undefined
  return { weight, name: `${module}.weight`, ...(weight !== architecture.embedding && { alone: weight }) }
}

/** A weight on the backend in fp32, for as long as its codes are made. */
type OpenedWeight = { W: Handle; close(): Promise<void> }

type CodesOf = Pick<Int8Form, 'dtype' | 'back'>

/** Codes for two terms: of one weight after the other. */
async function* codesOneByOne(
  backend: Backend,
  architecture: Architecture,
  names: Iterable<string>,
  open: (name: string) => Promise<OpenedWeight>,
  codes: CodesOf,
): AsyncGenerator<[string, CodedWeight]> {
  for (const name of names) {
    const { W, close } = await open(name)
    yield [name, int8Weight(backend, architecture, name, W, { ...codes, terms: 2 })]
    await close()
  }
}

/** Codes for `int8-fast`: of one layer after the other, through which the calibration goes. */
async function* calibratedCodes(
  backend: Backend,
  base: { architecture: Architecture; config: Config },
  names: ReadonlySet<string>,
  open: (name: string) => Promise<OpenedWeight>,
  codes: CodesOf,
  params: ReadonlyMap<string, Handle>,
  ids: readonly number[],
): AsyncGenerator<[string, CodedWeight]> {
  const calibration = startCalibration(backend, base, params, names, ids, codes)
  for (let layer = 0; layer < base.config.num_hidden_layers; layer++) {
    const prefix = base.architecture.layerPrefix(layer)
    const opened = new Map<string, OpenedWeight>()
    for (const name of names) if (name.startsWith(prefix)) opened.set(name, await open(name))
    yield* await calibration.layer(new Map([...opened].map(([name, { W }]) => [name, W])))
    for (const { close } of opened.values()) await close()
  }
  calibration.end()
}

/** Puts one weight on the backend as codes in blocks. */
const blockPlacer =
  (backend: Backend, { conv1d = false }: Architecture, format: QuantFormat, { params, quantized }: PlacedWeights) =>
  async (name: string, tensor: StoredTensor) => {
    const weight = await quantizeWeight(tensor, format, conv1d)
    const shapes = storedShapes(weight.how)
    params.set(codesOf(name), backend.put(weight.codes, shapes.codes, 'u8'))
    params.set(scalesOf(name), backend.put(weight.scales, shapes.scales))
    quantized.set(name, weight.how)
  }

/** What 8-bit codes by channel are made of: of weights quantized to 4 bits their quantized values. */
const valuesOf = async (tensor: StoredTensor, format: Quantize, conv1d: boolean): Promise<Float32Array> => {
  // 8 bits by channel are rounded from the weight itself, not from 8 bits in blocks
  if (format === 'none' || format === 'int8') return tensor.floats()
  const { how, codes, scales } = await quantizeWeight(tensor, format, conv1d)
  const values = dequantize(codes, scales, how)
  return conv1d ? transposed(values, how.out, how.inner) : values
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
