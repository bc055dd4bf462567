/**
 * The weights of the blocks' linear modules as 8-bit codes, whose products are computed in whole numbers (nn/int8.ts).
 * Frozen weights exist as codes alone. Trained ones stay in fp32, and their codes are renewed after every update.
 */
import type { Architecture } from '../models/architecture.ts'
import { int8Codes } from '../nn/int8.ts'
import { backOf, codesOf, type Int8Form, scalesOf, smoothOf } from '../nn/scope.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Backend, Executable, Handle, Handles } from '../runtime/backend.ts'
import { input } from '../tensor/tensor.ts'
import { badInput } from '../util/fault.ts'
import type { Model } from './model.ts'

/** What `--compute` takes. */
export const computeForms = ['fp32', 'int8', 'int8-fast'] as const
export type Compute = (typeof computeForms)[number]

const programs = new WeakMap<Backend, Map<string, Executable>>()

type How = Pick<Int8Form, 'dtype' | 'back'> & { conv1d: boolean; smooth: boolean }

const codesProgram = (backend: Backend, shape: readonly number[], how: How) => {
  const { dtype, back, conv1d } = how
  const known = programs.get(backend) ?? new Map<string, Executable>()
  programs.set(backend, known)
  const key = `${shape} ${JSON.stringify(how)}`
  if (!known.has(key)) {
    const W = input('W', shape)
    const smooth = how.smooth ? input('smooth', [shape[conv1d ? 0 : 1]]) : undefined
    const made = int8Codes(conv1d ? W.transpose([1, 0]) : W, dtype, smooth)
    const outputs = { codes: made.codes, scales: made.scales, ...(back && { back: made.back }) }
    known.set(key, backend.load(compileProgram('int8Codes', outputs)))
  }
  return known.get(key)!
}

/** The arrays of a weight by their names among a model's parameters. */
const named = (name: string, { codes, scales, back }: Handles): Record<string, Handle> => ({
  [codesOf(name)]: codes,
  [scalesOf(name)]: scales,
  ...(back && { [backOf(name)]: back }),
})

const shapeOf = ([rows, columns]: readonly number[], conv1d: boolean) =>
  conv1d ? { out: columns, inner: rows } : { out: rows, inner: columns }

export type CodedWeight = { form: Int8Form; handles: Record<string, Handle> }

/**
 * Codes of a weight that is on the backend in fp32.
 * @param smooth the array that the form's `smooth` names
 */
export const int8Weight = (
  backend: Backend,
  { conv1d = false }: Pick<Architecture, 'conv1d'>,
  name: string,
  W: Handle,
  form: Omit<Int8Form, 'out' | 'inner'>,
  smooth?: Handle,
): CodedWeight => {
  const { dtype, back } = form
  const program = codesProgram(backend, W.shape, { dtype, back, conv1d, smooth: smooth !== undefined })
  return {
    form: { ...shapeOf(W.shape, conv1d), ...form },
    handles: named(name, backend.run(program, { W, ...(smooth && { smooth }) })),
  }
}

/** Throws a Fault 'bad-weight' where a value is not finite: the codes of the others would say nothing of it. */
export const requireFinite = (name: string, values: Float32Array): void => {
  if (values.every(Number.isFinite)) return
  throw badInput(
    'bad-weight',
    `${name} holds a value that is not finite, which cannot be rounded to 8 bits; the weights are damaged, or a run wrote them that went wrong`,
    { flag: '--compute' },
  )
}

/** Codes of the weights that are trained, made again from their values as they are now. */
export const renewInt8 = ({ architecture, backend, int8, params }: Model): void => {
  for (const [name, { dtype, back, smooth: owner }] of int8) {
    const W = params.get(name)
    if (!W) continue
    const smooth = owner === undefined ? undefined : params.get(smoothOf(name, owner))!
    const how = { dtype, back, conv1d: architecture.conv1d === true, smooth: smooth !== undefined }
    const program = codesProgram(backend, W.shape, how)
    const into = { codes: params.get(codesOf(name))!, scales: params.get(scalesOf(name))! }
    backend.run(program, { W, ...(smooth && { smooth }) }, back ? { ...into, back: params.get(backOf(name))! } : into)
  }
}
