/**
 * Reverse-mode differentiation: a table with one vector-Jacobian product (vjp) for each primitive, and one walk over
 * the program. Rules may build more than is asked for: what no output depends on is never lowered. A gradient of `null`
 * says that an input has none (integers, conditions).
 */
import { assert } from '../util/fault.ts'
import { addDims, mulDims, type Shape, sameShape, subDims } from './dim.ts'
import { topological } from './graph.ts'
import type { Params, Primitive } from './primitives.ts'
import { node, scalar, sizeTensor, type Tensor, zeros } from './tensor.ts'

type Rule<P extends Primitive> = (
  inputs: readonly Tensor[],
  params: Params[P],
  y: Tensor,
  dy: Tensor,
) => readonly (Tensor | null)[]

const none = (inputs: readonly Tensor[]) => inputs.map(() => null)

/** Sums dy over the axes along which an operand was broadcast, to the operand's shape. */
const sumTo = (dy: Tensor, shape: Shape): Tensor => {
  const extra = dy.rank - shape.length
  const axes = dy.shape.flatMap((dim, i) => (i < extra || (shape[i - extra] === 1 && dim !== 1) ? [i] : []))
  return (axes.length ? dy.sum(axes, true) : dy).reshape(shape)
}

const keepAxes = (x: Shape, axes: readonly number[]) => x.map((dim, i) => (axes.includes(i) ? 1 : dim))

const inverse = (perm: readonly number[]) => perm.map((_, i) => perm.indexOf(i))

export const vjpRules: { [P in Primitive]: Rule<P> } = {
  input: none,
  constant: none,
  iota: none,
  neg: (_, __, ___, dy) => [dy.neg()],
  exp: (_, __, y, dy) => [dy.mul(y)],
  log: ([x], _, __, dy) => [dy.div(x)],
  // y = sqrt(x):  dx = dy / (2 y)
  sqrt: (_, __, y, dy) => [dy.div(y.mul(2))],
  abs: ([x], _, __, dy) => [dy.mul(x.sign())],
  sign: none,
  // erf'(x) = 2 / sqrt(pi) exp(-x^2)
  erf: ([x], _, __, dy) => [dy.mul(x.square().neg().exp()).mul(2 / Math.sqrt(Math.PI))],
  tanh: (_, __, y, dy) => [dy.sub(dy.mul(y.square()))],
  sigmoid: (_, __, y, dy) => [dy.mul(y.sub(y.square()))],
  softplus: ([x], _, __, dy) => [dy.mul(x.sigmoid())],
  relu: ([x], _, __, dy) => [x.gt(0).where(dy, 0)],
  // y = x s(x):  dx = dy (s + y (1 - s)) = dy (s + y - y s)
  silu: ([x], _, y, dy) => {
    const s = x.sigmoid()
    return [dy.mul(s.add(y).sub(y.mul(s)))]
  },
  not: none,
  add: ([a, b], _, __, dy) => [sumTo(dy, a.shape), sumTo(dy, b.shape)],
  sub: ([a, b], _, __, dy) => [sumTo(dy, a.shape), sumTo(dy.neg(), b.shape)],
  mul: ([a, b], _, __, dy) => [sumTo(dy.mul(b), a.shape), sumTo(dy.mul(a), b.shape)],
  // y = a / b:  da = dy / b, db = -dy y / b
  div: ([a, b], _, y, dy) => [sumTo(dy.div(b), a.shape), sumTo(dy.mul(y).div(b).neg(), b.shape)],
  // y = a^b:  da = dy b a^(b-1), db = dy y log(a)
  pow: ([a, b], _, y, dy) => [
    sumTo(dy.mul(b).mul(a.pow(b.sub(1))), a.shape),
    b.op === 'constant' ? null : sumTo(dy.mul(y).mul(a.log()), b.shape),
  ],
  // For equal operands of max and min the second gets the gradient, so none is counted twice.
  max: ([a, b], _, __, dy) => [sumTo(a.gt(b).where(dy, 0), a.shape), sumTo(a.gt(b).where(0, dy), b.shape)],
  min: ([a, b], _, __, dy) => [sumTo(a.lt(b).where(dy, 0), a.shape), sumTo(a.lt(b).where(0, dy), b.shape)],
  mod: none,
  eq: none,
  lt: none,
  le: none,
  and: none,
  or: none,
  where: ([c, x, y], _, __, dy) => [null, sumTo(c.where(dy, 0), x.shape), sumTo(c.where(0, dy), y.shape)],
  // Every cast is to or from integers or conditions.
  cast: none,
  reduceSum: ([x], { axes }, _, dy) => [dy.reshape(keepAxes(x.shape, axes)).broadcastTo(x.shape)],
  // Each of several equal maxima gets the whole gradient.
  reduceMax: ([x], { axes }, y, dy) => [
    x.eq(y.reshape(keepAxes(x.shape, axes))).where(dy.reshape(keepAxes(x.shape, axes)), 0),
  ],
  argmax: none,
  argsort: none,
  // y = softmax(x):  dx = y (dy - sum(dy y))
  softmax: (_, __, y, dy) => [y.mul(dy.sub(dy.mul(y).sum(-1, true)))],
  // y = a b:  da = dy b', db = a' dy, each transposed where its operand was
  matmul: ([a, b], { transA, transB }, _, dy) => [
    sumTo(transA ? b.matmul(dy, { transA: transB, transB: true }) : dy.matmul(b, { transB: !transB }), a.shape),
    matmulGradB(a, b, dy, transA, transB),
  ],
  // y = x W':  dx = dy W, of the same rounded W, which is frozen
  matmulQuantized: ([, codes, scales], { weight, transposed }, _, dy) => [
    dy.matmulQuantized({ codes, scales, weight, transposed: !transposed }),
    null,
    null,
  ],
  // y = x C diag(s):  dx = dy diag(s) C'. dy is rounded once, whatever x was: that loses nothing (docs/performance.md)
  matmulInt8: ([, codes, scales], _, __, dy) => {
    const ones = scalar(1).broadcastTo([codes.shape[0]])
    return [dy.mul(scales).matmulInt8(codes.transpose([1, 0]), ones, 1), null, null]
  },
  // y = x W' of each group:  dx = dy W,  dW = dy' x, of its own rows
  matmulGrouped: ([x, sizes, ...weights], { transB }, _, dy) => [
    dy.matmulGrouped(sizes, weights, { transB: !transB }),
    null,
    ...weights.map((_, group) => (transB ? dy.matmulOfGroup(x, sizes, group) : x.matmulOfGroup(dy, sizes, group))),
  ],
  matmulGroupedQuantized: ([x, sizes, ...weights], params, _, dy) => [
    node('matmulGroupedQuantized', [dy, sizes, ...weights], { ...params, transposed: !params.transposed }),
    ...none([x, ...weights]),
  ],
  // y = a' b over the rows of a group:  da = b dy',  db = a dy, and 0 for the rows of the others
  matmulOfGroup: ([a, b, sizes], { group }, _, dy) => {
    const own = Array.from({ length: sizes.shape[0] as number }, (_, i) => (i === group ? dy : zeros(dy.shape)))
    return [b.matmulGrouped(sizes, own, { transB: true }), a.matmulGrouped(sizes, own), null]
  },
  roundRows: none,
  matmulCodes: none,
  roundShares: none,
  columnsFrom: none,
  reshape: ([x], _, __, dy) => [dy.reshape(x.shape)],
  transpose: (_, { perm }, __, dy) => [dy.transpose(inverse(perm))],
  broadcastTo: ([x], _, __, dy) => [sumTo(dy, x.shape)],
  concat: (xs, { axis }, y, dy) => {
    let end = y.shape[axis]
    const parts = [...xs].reverse().map((x) => {
      const start = subDims(end, x.shape[axis])
      const part = dy.slice(axis, start, end)
      end = start
      return part
    })
    return parts.reverse()
  },
  slice: ([x], { axis, start, end }, _, dy) => [dy.pad(axis, start, subDims(x.shape[axis], end))],
  pad: ([x], { axis, before }, _, dy) => [dy.slice(axis, before, addDims(before, x.shape[axis]))],
  gather: ([x, index], _, __, dy) => [dy.scatterAdd(index, x.shape[0]), null],
  scatterAdd: ([, index, base], _, __, dy) => [dy.gather(index), null, ...(base ? [dy] : [])],
  // s[c] is the state that step c reads, g[c] the gradient of the one that it makes. As dy comes back through the steps, A and B change
  // places:  dC = the same recurrence of dy in the other direction,  dd = sum(g s),  dA = -(B s) g',  dB = -(A g) s'
  deltaScan: ([, decay, a, b], { reverse }, y, dy) => {
    const n = a.shape[0]
    const dC = dy.deltaScan(decay, b, a, { reverse: !reverse })
    const [first, others] = [(x: Tensor) => x.slice(0, 0, n), (x: Tensor) => x.slice(0, 1, addDims(n, 1))]
    const [s, g] = reverse ? [others(y), first(dC)] : [first(y), others(dC)]
    const product = (x: Tensor, other: Tensor) => x.matmul(other, { transB: true }).neg()
    return [dC, g.mul(s).sum([2, 3], true), product(b.matmul(s), g), product(a.matmul(g), s)]
  },
  takeAlong: ([x, index], _, __, dy) => [dy.putAlong(index, x.shape.at(-1)!), null],
  putAlong: ([, index], _, __, dy) => [dy.takeAlong(index), null],
  // y = x i w, i = 1 / sqrt(mean(x^2) + eps):  g = dy w,  dx = i (g - x i^2 mean(g x)),  dw = sum(dy x i)
  rmsNorm: ([x, w], { eps }, _, dy) => {
    const i = x.rmsInverse(w, eps)
    const g = dy.mul(w)
    const dx = i.mul(g.sub(x.mul(i.square().mul(g.mul(x).mean(-1, true)))))
    return [dx, sumTo(dy.mul(x.mul(i)), w.shape)]
  },
  // i = (mean(x^2) + eps)^(-1/2):  dx = -dy i^3 x / C
  rmsInverse: ([x], _, y, dy) => [
    dy
      .mul(y.square().mul(y))
      .mul(x)
      .div(sizeTensor(x.shape.at(-1)!))
      .neg(),
    null,
  ],
  // A rotation's transpose is the rotation by the negated angle.
  rope: ([, positions, cos, sin], params, _, dy) => [
    dy.rope(positions, cos, sin, { ...params, inverse: !params.inverse }),
    null,
    null,
    null,
  ],
  stopGradient: none,
  customGrad: (_, { rule }, __, dy) => [null, ...(rule(dy) as Tensor[])],
}

/**
 * db = a' dy. Where b has no leading axes (a weight), the leading axes of a are flattened into its rows first: one
 * large product instead of a sum over many.
 */
const matmulGradB = (a: Tensor, b: Tensor, dy: Tensor, transA: boolean, transB: boolean): Tensor => {
  if (b.rank === 2 && a.rank > 2 && !transA) {
    const rows = (x: Tensor) => x.reshape([x.shape.slice(0, -1).reduce(mulDims, 1), x.shape.at(-1)!])
    return matmulGradB(rows(a), b, rows(dy), false, transB)
  }
  const db = transB ? dy.matmul(a, { transA: true, transB: transA }) : a.matmul(dy, { transA: !transA })
  return sumTo(db, b.shape)
}

/**
 * The vector-Jacobian product: gradients of `wrt`, given those of the outputs.
 * @param cotangents the gradient of each output, of its shape
 * @returns gradients in the order of `wrt`, zeros where an output does not depend on it
 */
export const vjp = (outputs: readonly Tensor[], cotangents: readonly Tensor[], wrt: readonly Tensor[]): Tensor[] => {
  const order = topological(outputs)
  const needed = dependents(order, new Set(wrt))
  const grads = new Map<Tensor, Tensor>()
  const accumulate = (t: Tensor, g: Tensor) => {
    assert(sameShape(g.shape, t.shape), `gradient [${g.shape}] of ${t.op} [${t.shape}]`)
    grads.set(t, grads.get(t)?.add(g) ?? g)
  }
  for (const [i, output] of outputs.entries()) if (needed.has(output)) accumulate(output, cotangents[i])
  for (const t of order.reverse()) {
    const dy = grads.get(t)
    if (!dy || !t.inputs.some((x) => needed.has(x))) continue
    const rule = vjpRules[t.op] as Rule<Primitive>
    const gradients = rule(t.inputs, t.params, t, dy)
    assert(
      gradients.length === t.inputs.length,
      `${t.op} has ${t.inputs.length} inputs and ${gradients.length} gradients`,
    )
    for (const [i, dx] of gradients.entries()) if (dx && needed.has(t.inputs[i])) accumulate(t.inputs[i], dx)
  }
  return wrt.map((t) => grads.get(t) ?? zeros(t.shape))
}

/** Gradients of a scalar. */
export const grad = (loss: Tensor, wrt: readonly Tensor[]): Tensor[] => {
  assert(loss.rank === 0, `grad needs a scalar, got [${loss.shape}]`)
  return vjp([loss], [scalar(1)], wrt)
}

const dependents = (order: readonly Tensor[], wrt: ReadonlySet<Tensor>): Set<Tensor> => {
  const found = new Set(wrt)
  for (const t of order) if (t.op !== 'stopGradient' && t.inputs.some((x) => found.has(x))) found.add(t)
  return found
}
