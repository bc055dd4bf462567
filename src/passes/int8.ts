/**
 * The weights of the blocks' linear modules as 8-bit codes, whose products are computed in whole numbers (nn/int8.ts).
 * Frozen weights exist as codes alone. Trained ones stay in fp32, and their codes are renewed after every update.
 */
import type { Architecture } from '../models/architecture.ts'
import { int8Codes } from '../nn/int8.ts'
import { backOf, codesOf, type Int8Form, scalesOf, smoothOf } from '../nn/scope.ts'
import { compileProgram, type Program } from '../onnx/model.ts'
import type { Backend, Executable, Handle, Handles } from '../runtime/backend.ts'
import type { Shape } from '../tensor/dim.ts'
import type { CodeType } from '../tensor/primitives.ts'
import { input } from '../tensor/tensor.ts'
import { badInput } from '../util/fault.ts'
import type { Model } from './model.ts'

/** What `--compute` takes. */
export const computeForms = ['fp32', 'int8', 'int8-fast'] as const
export type Compute = (typeof computeForms)[number]

const programs = new WeakMap<Backend, Map<string, Executable>>()

type How = Pick<Int8Form, 'dtype' | 'back'> & { conv1d: boolean; smooth: boolean }

/** The program of a key, compiled at its first use. */
const known = (backend: Backend, key: string, build: () => Program): Executable => {
  const made = programs.get(backend) ?? new Map<string, Executable>()
  programs.set(backend, made)
  if (!made.has(key)) made.set(key, backend.load(build()))
  return made.get(key)!
}

const codesProgram = (backend: Backend, shape: Shape, how: How) =>
  known(backend, `${shape} ${JSON.stringify(how)}`, () => {
    const { dtype, back, conv1d } = how
    const W = input('W', shape)
    const smooth = how.smooth ? input('smooth', [shape[conv1d ? 0 : 1]]) : undefined
    const made = int8Codes(conv1d ? W.transpose([1, 0]) : W, dtype, smooth)
    return compileProgram('int8Codes', { codes: made.codes, scales: made.scales, ...(back && { back: made.back }) })
  })

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

/** Values of a head that are coded at a time, beside which a few arrays of the size exist. */
const atOnce = 2 ** 22

/** Codes of a language head [V, C], made of a part of its rows at a time. @param name under which they are stored */
export const int8Head = (
  backend: Backend,
  name: string,
  W: Handle,
  form: Omit<Int8Form, 'out' | 'inner'>,
): CodedWeight => {
  const [out, inner] = W.shape
  const back = backend.zeros([out, inner], form.dtype)
  const scales = backend.zeros([out])
  const program = codesProgram(backend, ['R', inner], { dtype: form.dtype, back: true, conv1d: false, smooth: false })
  const rows = Math.max(1, Math.floor(atOnce / inner))
  for (let from = 0; from < out; from += rows) {
    const count = Math.min(rows, out - from)
    const views = {
      W: backend.view(W, from * inner, [count, inner]),
      back: backend.view(back, from * inner, [count, inner]),
      scales: backend.view(scales, from, [count]),
    }
    const { codes } = backend.run(program, { W: views.W }, { back: views.back, scales: views.scales })
    backend.free([codes, ...Object.values(views)])
  }
  const { codes } = backend.run(transposeProgram(backend, inner, form.dtype), { back })
  if (!form.back) backend.free([back])
  return { form: { out, inner, ...form }, handles: named(name, { codes, scales, ...(form.back && { back }) }) }
}

const transposeProgram = (backend: Backend, inner: number, dtype: CodeType) =>
  known(backend, `transposed ${inner} ${dtype}`, () => {
    const codes = input('back', ['V', inner], dtype).transpose([1, 0])
    return compileProgram('int8Transposed', { codes })
  })

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
