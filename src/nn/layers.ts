/** Layers of decoders: embeddings, norms, activations, the gated MLP. Hidden states are [N, C], without padding. */
import type { Tensor } from '../tensor/tensor.ts'
import { linear } from './linear.ts'
import type { Scope } from './scope.ts'

/** Rows of a table [V, C] by ids [N] (+ LoRA, with A [r, V] and B [C, r]) -> [N, C] */
export const embedding = (p: Scope, name: string, ids: Tensor): Tensor => {
  const rows = p.get(`${name}.weight`).gather(ids)
  const lora = p.lora(name)
  if (!lora) return rows
  const low = lora.A.transpose([1, 0]).gather(ids).mul(lora.scaling)
  return rows.add(low.matmul(lora.B, { transB: true }))
}

/** x / rms(x) * weight (Zhang and Sennrich 2019). */
export const rmsNorm = (p: Scope, name: string, x: Tensor, eps: number): Tensor =>
  x.rmsNorm(p.get(`${name}.weight`), eps)

/** RMS norm without a weight. */
export const plainRmsNorm = (x: Tensor, eps: number): Tensor => x.div(x.square().mean(-1, true).add(eps).sqrt())

/** Gemma's: weights are stored as what is added to 1. */
export const rmsNormPlusOne = (p: Scope, name: string, x: Tensor, eps: number): Tensor =>
  x.rmsNorm(p.get(`${name}.weight`).add(1), eps)

/** LayerNorm with weight and bias, over the last axis. */
export const layerNorm = (p: Scope, name: string, x: Tensor, eps: number): Tensor => {
  const centred = x.sub(x.mean(-1, true))
  const scaled = centred.div(centred.square().mean(-1, true).add(eps).sqrt())
  return scaled.mul(p.get(`${name}.weight`)).add(p.get(`${name}.bias`))
}

/** RMS norm of each head by itself. x [N, heads*D] */
export const headNorm = (x: Tensor, heads: number, norm: (x: Tensor) => Tensor): Tensor => {
  const [N, width] = x.shape
  return norm(x.reshape([N, heads, (width as number) / heads])).reshape([N, width])
}

/** GELU by the tanh approximation (gelu_new, gelu_pytorch_tanh). */
export const geluTanh = (x: Tensor): Tensor => {
  const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI))
  return x.mul(0.5).mul(inner.tanh().add(1))
}

/** Written as ONNX Runtime knows it, which then computes it in one pass. */
export const gelu = (x: Tensor): Tensor => x.mul(x.div(Math.SQRT2).erf().add(1)).mul(0.5)

/** Activations by the name in config.json. */
export const activations: Record<string, (x: Tensor) => Tensor> = {
  silu: (x) => x.silu(),
  swish: (x) => x.silu(),
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu: (x) => x.relu(),
}

/** down(act(gate(x)) * up(x)) */
export const gatedMlp = (p: Scope, x: Tensor, activation: string): Tensor =>
  linear(p, 'down_proj', activations[activation](linear(p, 'gate_proj', x)).mul(linear(p, 'up_proj', x)))
