/**
 * Makes a traced program smaller without changing its values: joins equal nodes (common subexpressions), folds
 * constants, and drops no-ops and what only differentiation needed. The program is rebuilt once from its inputs up;
 * dead code disappears by itself, since a program consists of what its outputs depend on.
 */
import { broadcast, sameShape } from './dim.ts'
import { paramsText, topological } from './graph.ts'
import type { Params, Primitive } from './primitives.ts'
import { node, scalar, type Tensor } from './tensor.ts'

/** The same values by fewer nodes. */
export const simplify = (outputs: readonly Tensor[]): Tensor[] => {
  const rebuilt = new Map<Tensor, Tensor>()
  const known = new Map<string, Tensor>()
  for (const old of topological(outputs)) {
    const inputs = old.inputs.map((x) => rebuilt.get(x)!)
    const fresh = rewrite(inputs.every((x, i) => x === old.inputs[i]) ? old : node(old.op, inputs, old.params))
    const key = keyOf(fresh)
    if (!known.has(key)) known.set(key, fresh)
    rebuilt.set(old, known.get(key)!)
  }
  return outputs.map((t) => rebuilt.get(t)!)
}

const keyOf = (t: Tensor): string => `${t.op} ${t.inputs.map((x) => x.id)} ${paramsText(t.params)}`

const rewrite = (t: Tensor): Tensor => {
  const folded = fold(t)
  if (folded) return folded
  const rule = rewrites[t.op] as ((t: Tensor) => Tensor | undefined) | undefined
  return rule?.(t) ?? t
}

/** Arithmetic on scalar constants that is folded. */
const arithmetic: Partial<Record<Primitive, (a: number, b: number) => number>> = {
  neg: (a) => -a,
  sqrt: Math.sqrt,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
}

const fold = (t: Tensor): Tensor | undefined => {
  const rule = arithmetic[t.op]
  if (!rule || t.dtype !== 'f32') return undefined
  const values = t.inputs.map(scalarValue)
  return values.includes(undefined) ? undefined : scalar(rule(...(values as [number, number])))
}

const scalarValue = (t: Tensor): number | undefined =>
  t.op === 'constant' && t.rank === 0 ? (t.params as Params['constant']).data[0] : undefined

/** The value of a scalar constant, also where it was broadcast. */
const uniform = (t: Tensor): number | undefined => scalarValue(t.op === 'broadcastTo' ? t.inputs[0] : t)

/** x, where the other operand is `value` everywhere, so that the operation changes nothing. */
const neutral = (t: Tensor, x: Tensor, other: Tensor, value: number) =>
  uniform(other) === value && sameShape(t.shape, x.shape) ? x : undefined

/** Elementwise operations broadcast by themselves, so an explicit broadcast before them is dropped. */
const withoutBroadcast = (t: Tensor): Tensor | undefined => {
  const inputs = t.inputs.map((x) => (x.op === 'broadcastTo' ? x.inputs[0] : x))
  const shape = inputs.map((x) => x.shape).reduce(broadcast)
  return sameShape(shape, t.shape) && inputs.some((x, i) => x !== t.inputs[i])
    ? node(t.op, inputs, t.params)
    : undefined
}

/** base + scatterAdd(updates, index), without the array of zeros in between. */
const scattered = (base: Tensor, t: Tensor): Tensor | undefined =>
  t.op === 'scatterAdd' && t.inputs.length === 2 && sameShape(base.shape, t.shape)
    ? node('scatterAdd', [...t.inputs, base], t.params as Params['scatterAdd'])
    : undefined

const lastTwoSwapped = (t: Tensor) => {
  if (t.op !== 'transpose') return false
  const { perm } = t.params as Params['transpose']
  return perm.every((p, i) => p === (i < t.rank - 2 ? i : 2 * t.rank - 3 - i))
}

const rewrites: { [P in Primitive]?: (t: Tensor<P>) => Tensor | undefined } = {
  stopGradient: (t) => t.inputs[0],
  customGrad: (t) => t.inputs[0],
  neg: ({ inputs: [x] }) => (x.op === 'neg' ? x.inputs[0] : undefined),
  add: (t) => {
    const [a, b] = t.inputs
    const same = neutral(t, a, b, 0) ?? neutral(t, b, a, 0)
    return same ?? (b.op === 'neg' ? a.sub(b.inputs[0]) : (scattered(a, b) ?? scattered(b, a) ?? withoutBroadcast(t)))
  },
  sub: (t) => neutral(t, t.inputs[0], t.inputs[1], 0) ?? withoutBroadcast(t),
  mul: (t) => neutral(t, t.inputs[0], t.inputs[1], 1) ?? neutral(t, t.inputs[1], t.inputs[0], 1) ?? withoutBroadcast(t),
  div: (t) => neutral(t, t.inputs[0], t.inputs[1], 1) ?? withoutBroadcast(t),
  max: withoutBroadcast,
  min: withoutBroadcast,
  where: withoutBroadcast,
  broadcastTo: (t) => (sameShape(t.shape, t.inputs[0].shape) ? t.inputs[0] : undefined),
  reshape: (t) => {
    const [x] = t.inputs
    if (sameShape(t.shape, x.shape)) return x
    return x.op === 'reshape' ? x.inputs[0].reshape(t.shape) : undefined
  },
  transpose: (t) => {
    const [x] = t.inputs
    if (t.params.perm.every((p, i) => p === i)) return x
    if (x.op !== 'transpose') return undefined
    const inner = (x.params as Params['transpose']).perm
    return rewrite(x.inputs[0].transpose(t.params.perm.map((p) => inner[p])))
  },
  matmul: (t) => {
    const [a, b] = t.inputs
    const { transA, transB } = t.params
    if (lastTwoSwapped(a)) return rewrite(a.inputs[0].matmul(b, { transA: !transA, transB }))
    return lastTwoSwapped(b) ? a.matmul(b.inputs[0], { transA, transB: !transB }) : undefined
  },
}
