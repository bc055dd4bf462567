/**
 * Partitions a gradient into a forward and a backward program (activation checkpointing). The forward program also
 * returns the results that the backward one needs; those that are not saved are recomputed in the backward program. It
 * must be a session of its own, because inside one session ONNX Runtime's elimination of common subexpressions would
 * undo the recomputation.
 */
import { topological } from './graph.ts'
import type { Params, Primitive } from './primitives.ts'
import { input, node, type Tensor } from './tensor.ts'

/** Whether a forward result is saved for the backward program. */
export type SavePolicy = (t: Tensor) => boolean

/** Products with fewer multiplications for each element are recomputed in the time that storing them takes. */
const cheapProduct = 96

const costly: ReadonlySet<Primitive> = new Set([
  'matmulQuantized',
  'matmulGroupedQuantized',
  'matmulInt8',
  'gather',
  'deltaScan',
])

/**
 * Saves what is costly to recompute: products, gathered rows, and conditions, which take one byte an element and save
 * recomputing what they compare. Elementwise results, and products over few columns such as attention scores, are
 * cheaper to recompute than to store.
 */
export const saveCostly: SavePolicy = (t) => {
  if (t.op === 'matmul' || t.op === 'matmulGrouped') {
    const isTransposed = t.op === 'matmul' && (t.params as Params['matmul']).transA
    const inner = t.inputs[0].shape.at(isTransposed ? -2 : -1)!
    return typeof inner !== 'number' || inner >= cheapProduct
  }
  return costly.has(t.op) || t.dtype === 'bool'
}
/** Saves nothing: the backward program starts from the inputs. */
export const saveNothing: SavePolicy = () => false

/**
 * @param gradients outputs of the backward program
 * @param cotangents inputs that only the backward program has; whatever does not depend on them is forward
 * @param save which forward results are saved
 * @returns `kept`: the saved forward results; `gradients` takes them as inputs `kept0`, `kept1`, ...
 */
export const partition = (gradients: readonly Tensor[], cotangents: readonly Tensor[], save: SavePolicy) => {
  const backward = new Set(cotangents)
  const rebuilt = new Map<Tensor, Tensor>()
  const stored = new Map<Tensor, Tensor>()
  for (const t of topological(gradients)) {
    if (t.inputs.some((x) => backward.has(x))) backward.add(t)
    const isKept = !backward.has(t) && save(t)
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

/** Names saved results by their index, so that equal layers give equal programs. */
const rename = (outputs: readonly Tensor[], kept: readonly (readonly [Tensor, Tensor])[]) => {
  const named = new Map<Tensor, Tensor>(kept.map(([t, stand], i) => [stand, input(`kept${i}`, t.shape, t.dtype)]))
  for (const t of topological(outputs)) {
    if (named.has(t)) continue
    const inputs = t.inputs.map((x) => named.get(x)!)
    named.set(t, inputs.every((x, i) => x === t.inputs[i]) ? t : node(t.op, inputs, t.params))
  }
  return { kept: kept.map(([t]) => t), gradients: outputs.map((t) => named.get(t)!) }
}
