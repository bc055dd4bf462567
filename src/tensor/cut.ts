/**
 * Cuts a program with its gradient into two sessions: the forward one also returns what the backward one needs.
 * What is not kept is computed again in the backward session. (Inside one session ONNX Runtime's own CSE would undo
 * that, which is why recomputation needs a session of its own.)
 */
import { topological } from './graph.ts'
import type { Params } from './primitives.ts'
import { input, node, type Tensor } from './tensor.ts'

export type Keep = (t: Tensor) => boolean

/** Multiplications an element below which a product is computed again in the time that storing it takes. */
const cheapProduct = 96

/**
 * Costly results; all else is cheaper to compute again than to store: elementwise work, and products over few columns,
 * which attention's scores are. A condition takes a byte and stands for all the numbers before it.
 */
export const costly: Keep = (t) => {
  if (t.op === 'matmul') {
    const inner = t.inputs[0].shape.at((t.params as Params['matmul']).transA ? -2 : -1)!
    return typeof inner !== 'number' || inner >= cheapProduct
  }
  return t.op === 'matmulQuantized' || t.op === 'gather' || t.dtype === 'bool'
}
export const nothing: Keep = () => false

/**
 * @param gradients outputs of the backward session
 * @param cotangents inputs that only the backward session has; what does not depend on them is forward
 * @param keep which forward results are kept
 * @returns `kept`: forward nodes, which `gradients` takes as inputs `kept0`, `kept1`, ...
 */
export const cut = (gradients: readonly Tensor[], cotangents: readonly Tensor[], keep: Keep) => {
  const backward = new Set(cotangents)
  const rebuilt = new Map<Tensor, Tensor>()
  const stored = new Map<Tensor, Tensor>()
  for (const t of topological(gradients)) {
    if (t.inputs.some((x) => backward.has(x))) backward.add(t)
    const isKept = !backward.has(t) && keep(t)
    if (isKept) stored.set(t, input(`kept ${t.id}`, t.shape, t.dtype))
    const inputs = t.inputs.map((x) => rebuilt.get(x)!)
    const same = inputs.every((x, i) => x === t.inputs[i])
    rebuilt.set(t, stored.get(t) ?? (same ? t : node(t.op, inputs, t.params)))
  }
  const outputs = gradients.map((t) => rebuilt.get(t)!)
  const reached = new Set(topological(outputs))
  const kept = [...stored].filter(([, stand]) => reached.has(stand))
  return rename(outputs, kept)
}

/** Names kept values by their place, so that equal layers give equal programs. */
const rename = (outputs: readonly Tensor[], kept: readonly (readonly [Tensor, Tensor])[]) => {
  const named = new Map<Tensor, Tensor>(kept.map(([t, stand], i) => [stand, input(`kept${i}`, t.shape, t.dtype)]))
  for (const t of topological(outputs)) {
    if (named.has(t)) continue
    const inputs = t.inputs.map((x) => named.get(x)!)
    named.set(t, inputs.every((x, i) => x === t.inputs[i]) ? t : node(t.op, inputs, t.params))
  }
  return { kept: kept.map(([t]) => t), gradients: outputs.map((t) => named.get(t)!) }
}
