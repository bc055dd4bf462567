/**
 * How the products of a checkpoint are computed in `int8-fast`, where the rows of x are rounded once: SmoothQuant's factors
 * (Xiao et al. 2022, arXiv 2211.10438, eq. 4), and the few modules whose rows are rounded twice all the same.
 *
 * Both follow from the checkpoint alone, by a pass of fp32 over a fixed text, so that a trainer, a sampler, a server and a
 * resumed run compute the same without anything stored. The factors are powers of 2: products with them are exact, and the last
 * bits in which two machines or two numbers of threads differ do not change them.
 */
import { packTexts } from '../data/encoderBatch.ts'
import { type Int8Form, smoothOf } from '../nn/scope.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Backend, Handle } from '../runtime/backend.ts'
import { topological } from '../tensor/graph.ts'
import type { Params } from '../tensor/primitives.ts'
import { simplify } from '../tensor/simplify.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import { rng } from '../util/rng.ts'
import { type CodedWeight, int8Weight } from './int8.ts'
import { kindOf, place } from './layout.ts'
import { executable, layerPart, type Model, makeModel, scopeOf, widthOf } from './model.ts'
import { embed, raggedContext } from './stack.ts'

/** Tokens of a calibration where there is no tokenizer. */
const randomTokens = 400
/** The text is cut into parts, because some models read no more. */
const partTokens = 256
/** What SmoothQuant's exponent may be (eq. 4); each group of modules takes that by which it errs least, or no factors. */
const alphas = [0.5, 0.65, 0.8]
/** A module's rows are rounded twice where that saves an error of more than this, in parts of what the error is added to. */
const largestError = 0.015
/** Factors are 2 to the power of this at most. */
const largestExponent = 20

/** Token ids spread over the vocabulary, for a model without a tokenizer. */
export const randomIds = (vocabulary: number): number[] => {
  const random = rng(0)
  return Array.from({ length: randomTokens }, (_, i) => Math.floor(random.uniform(i) * vocabulary))
}

export type Calibration = {
  /**
   * Goes through the next layer and makes its codes.
   * @param weights of the layer's linear modules in fp32, by name
   * @returns of each weight whose products are rounded the form and the arrays
   */
  layer(weights: ReadonlyMap<string, Handle>): Promise<Map<string, CodedWeight>>
  end(): void
}

/**
 * @param params all that is not among the `weights` of a layer
 * @param rounded names of the weights whose products are rounded
 * @param ids of the text
 */
export const startCalibration = (
  backend: Backend,
  { architecture, config }: Pick<Model, 'architecture' | 'config'>,
  params: ReadonlyMap<string, Handle>,
  rounded: ReadonlySet<string>,
  ids: readonly number[],
  codes: Pick<Int8Form, 'dtype' | 'back'>,
): Calibration => {
  const model = makeModel({ architecture, config, backend, params })
  const placed = place(model, packTexts(textsOf(model, ids)), 1)
  const traced = new Map<string, TracedLayer>()
  let x = embed(model, placed)
  let layer = 0
  return {
    async layer(weights) {
      const prefix = architecture.layerPrefix(layer)
      const whole = { ...model, params: new Map([...params, ...weights]) }
      const { groups, reads, program, handles } = tracedLayer(whole, layer, rounded, traced)
      const { y, ...made } = backend.run(program, { ...placed.shared, ...handles, x })
      backend.free([x])
      x = y
      layer++
      const coded = new Map<string, CodedWeight>()
      for (const [g, modules] of groups.entries()) {
        const columns = { xs: made[`columns${g}`], weights: made[`weights${g}`] }
        const products = modules.map(({ weight, products }) => ({
          weight: prefix + weight,
          W: handles[weight],
          products: products.map((i) => ({ x: made[`x${reads[i]}`], size: made[`size${i}`] })),
        }))
        for (const [name, one] of await codeGroup(model, columns, products, codes)) coded.set(name, one)
      }
      backend.free(Object.values(made))
      return coded
    },
    end() {
      backend.free([x, ...placed.handles, ...model.ropes.values()])
      backend.unload(model.programs.values())
    },
  }
}

/** The ids in parts that the model can read. */
const textsOf = ({ architecture, config }: Model, ids: readonly number[]) => {
  const known = ids.filter((id) => id < config.vocab_size)
  const all = known.length ? known : randomIds(config.vocab_size)
  const longest = architecture.encoder?.longestText(config) ?? config.max_position_embeddings
  const size = Math.max(1, Math.min(partTokens, longest))
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => {
    const part = all.slice(i * size, (i + 1) * size)
    return { ids: part, positions: architecture.encoder?.positions(part, config) ?? part.map((_, t) => t) }
  })
}

/** Modules beside each other that read the same x (some encoders' read two), by their weights' names in the layer. */
type Group = { weight: string; products: number[] }[]

const lastPart = (name: string, parts: number) => name.split('.').slice(-parts).join('.')

/** The products with these weights in a trace, and the modules that make them. */
const groupsOf = (y: Tensor, weights: readonly string[]) => {
  const groups = new Map<string, Group>()
  const all = topological([y]).filter((t) => t.op === 'matmul')
  const products: Tensor[] = []
  for (const weight of weights) {
    const own = all.filter(({ inputs: [, W] }) => isInput(W, weight))
    const parent = weight.slice(0, -lastPart(weight, 2).length)
    const key = `${parent} ${own.map(({ inputs: [x] }) => x.id)}`
    const group = groups.get(key) ?? []
    group.push({ weight, products: own.map((product) => products.push(product) - 1) })
    groups.set(key, group)
  }
  return { groups: [...groups.values()], products }
}

/** What is added up to y, the residual stream: its modules' errors are seen beside the stream, not beside their own results. */
const summands = (y: Tensor): Set<Tensor> => {
  const found = new Set([y])
  for (const t of found) if (t.op === 'add') for (const part of t.inputs) found.add(part)
  return found
}

/**
 * Of each row [M, C] the square of its length, as the mean magnitude tells it: a few giant values, as most models have them in
 * some columns, would hide the errors of all others.
 */
const sizeOf = (t: Tensor): Tensor =>
  t
    .abs()
    .mean(-1)
    .square()
    .mul(t.shape.at(-1) as number)

const isInput = (t: Tensor, name: string) => t.op === 'input' && (t.params as Params['input']).name === name

const largestOf = (t: Tensor, axis: number) => t.abs().amax(axis)

const traceLayer = (model: Model, layer: number, weights: readonly string[]) => {
  const scope = scopeOf(layerPart(model, layer))
  const x = input('x', ['N', widthOf(model)])
  const [y] = simplify([model.architecture.block(scope, x, raggedContext(1), model.config, kindOf(model, layer))])
  const { groups, products } = groupsOf(y, weights)
  const added = summands(y)
  const read = [...new Set(products.map(({ inputs: [x] }) => x))]
  const inner = model.architecture.conv1d ? 1 : 0
  const most = (of: readonly Tensor[]) => of.reduce((a, b) => a.max(b))
  const numbered = (name: string, of: readonly Tensor[]) => of.map((t, i) => [`${name}${i}`, t] as const)
  const outputs = Object.fromEntries([
    ['y', y],
    ...numbered('x', read),
    ...numbered(
      'size',
      products.map((product) => sizeOf(added.has(product) ? x : product)),
    ),
    ...numbered(
      'columns',
      groups.map(([{ products: own }]) => most(own.map((i) => largestOf(products[i].inputs[0], 0)))),
    ),
    ...numbered(
      'weights',
      groups.map((group) => most(group.map(({ weight }) => largestOf(scope.get(weight), inner)))),
    ),
  ])
  return { outputs, groups, reads: products.map(({ inputs: [x] }) => read.indexOf(x)) }
}

type TracedLayer = ReturnType<typeof traceLayer>

/** The layer's program, which layers of one kind share. */
const tracedLayer = (model: Model, layer: number, rounded: ReadonlySet<string>, traced: Map<string, TracedLayer>) => {
  const prefix = model.architecture.layerPrefix(layer)
  const part = layerPart(model, layer)
  // In the order of `rounded`, whatever that of the handles: the first one of a group owns its factors
  const names = [...rounded].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
  const key = `calibrate ${part.signature} ${JSON.stringify(kindOf(model, layer))} ${names}`
  if (!traced.has(key)) traced.set(key, traceLayer(model, layer, names))
  const { outputs, groups, reads } = traced.get(key)!
  return {
    groups,
    reads,
    handles: part.handles,
    program: executable(model, key, () => compileProgram('calibrate', outputs)),
  }
}

/** A module's weight on the backend, and its products: x [M, inner], and the size of each row of x W' squared [M]. */
type Module = { weight: string; W: Handle; products: { x: Handle; size: Handle }[] }

/** The codes of modules that read the same. Those of one number of terms have the same factors, by which they err least together. */
const codeGroup = async (
  model: Model,
  columns: Record<'xs' | 'weights', Handle>,
  modules: readonly Module[],
  codes: Pick<Int8Form, 'dtype' | 'back'>,
): Promise<[string, CodedWeight][]> => {
  const { backend, architecture } = model
  const [xs, weights] = (await Promise.all(
    [columns.xs, columns.weights].map((of) => backend.read(of)),
  )) as Float32Array[]
  const candidates: Candidate[] = []
  for (const alpha of [undefined, ...alphas]) {
    const factors = alpha === undefined ? xs.map(() => 1) : smoothing(xs, weights, alpha)
    const smooth = backend.put(factors, [factors.length])
    const errors = await Promise.all(modules.map((module) => roundingErrors(model, module, smooth)))
    candidates.push({ smooth, isPlain: alpha === undefined, errors })
  }
  const coded: [string, CodedWeight][] = []
  const used = new Set<Handle>()
  for (const [terms, members] of Object.entries(termsOf(candidates, modules.length))) {
    const chosen = leastOf(candidates, members, terms === 'once')
    const smooth = chosen.isPlain ? undefined : chosen.smooth
    for (const m of members) {
      const { weight, W } = modules[m]
      const owner = smooth && lastPart(modules[members[0]].weight, 2)
      const form = { ...codes, terms: terms === 'once' ? 1 : 2, ...(owner && { smooth: owner }) } as const
      const made = int8Weight(backend, architecture, weight, W, form, smooth)
      coded.push([weight, owner ? { ...made, handles: { ...made.handles, [smoothOf(weight, owner)]: smooth } } : made])
    }
    if (smooth && members.length) used.add(smooth)
  }
  backend.free(candidates.map(({ smooth }) => smooth).filter((smooth) => !used.has(smooth)))
  return coded
}

/** Factors, and the errors that each module of a group has with them. */
type Candidate = { smooth: Handle; isPlain: boolean; errors: readonly RoundingErrors[] }

const both = ({ ofX, ofW }: RoundingErrors) => ofX + ofW

/** Those by which these modules err least; the first where values that are not finite leave no numbers to compare. */
const leastOf = (candidates: readonly Candidate[], members: readonly number[], isOnce: boolean): Candidate => {
  const sum = ({ errors }: Candidate) => members.reduce((n, m) => n + (isOnce ? both(errors[m]) : errors[m].ofW), 0)
  return candidates.reduce((best, other) => (sum(other) < sum(best) ? other : best))
}

/** Modules by what they need: rows are rounded twice where that saves more than is bearable. */
const termsOf = (candidates: readonly Candidate[], count: number): Record<'once' | 'twice', number[]> => {
  const all = Array.from({ length: count }, (_, m) => m)
  const { errors } = leastOf(candidates, all, true)
  const saved = (m: number) => both(errors[m]) - Math.min(...candidates.map((candidate) => candidate.errors[m].ofW))
  return {
    once: all.filter((m) => saved(m) <= largestError ** 2),
    twice: all.filter((m) => !(saved(m) <= largestError ** 2)),
  }
}

/**
 * What x is multiplied by, for its columns and those of the weight: the inverse of eq. 4, as powers of 2.
 * @param xs largest magnitudes of the columns [inner]
 */
const smoothing = (xs: Float32Array, weights: Float32Array, alpha: number): Float32Array =>
  xs.map((x, i) => {
    const exponent = Math.round((1 - alpha) * Math.log2(weights[i]) - alpha * Math.log2(x))
    return Number.isFinite(exponent) ? 2 ** Math.max(-largestExponent, Math.min(largestExponent, exponent)) : 1
  })

/** Squares, as a mean over the rows, in parts of the square of a row of products. */
type RoundingErrors = { ofX: number; ofW: number }

/**
 * By how much the products of a module differ because x and W are rounded, one term each. A number that is rounded to steps
 * errs by 1/12 of a step's square on average, and the errors of different numbers do not depend on each other.
 */
const roundingErrors = async (model: Model, { W, products }: Module, smooth: Handle): Promise<RoundingErrors> => {
  const { backend, architecture } = model
  const [inner] = smooth.shape
  const program = executable(model, `roundingErrors ${W.shape}`, () => {
    const [factors, stored] = [input('smooth', [inner]), input('W', W.shape)]
    const x = input('x', ['M', inner]).mul(factors)
    const divided = (architecture.conv1d ? stored.transpose([1, 0]) : stored).div(factors)
    const step = (t: Tensor) => t.abs().amax(-1).div(127).square().div(12)
    const size = input('size', ['M']).add(1e-30)
    return compileProgram('roundingErrors', {
      ofX: step(x).mul(divided.square().sum()).div(size).mean(),
      ofW: step(divided).sum().mul(x.square().sum(-1)).div(size).mean(),
    })
  })
  const means = { ofX: 0, ofW: 0 }
  for (const product of products) {
    const made = backend.run(program, { ...product, W, smooth })
    const [ofX, ofW] = await Promise.all([backend.read(made.ofX), backend.read(made.ofW)])
    backend.free(Object.values(made))
    means.ofX += (ofX[0] as number) / products.length
    means.ofW += (ofW[0] as number) / products.length
  }
  return means
}
