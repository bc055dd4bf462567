/**
 * What a GGUF file's weights are stored as: the types of its tensors. K mixes give more bits where errors cost more, to the same tensors
 * as llama.cpp (llama_tensor_get_type in llama-quant.cpp, without an importance matrix).
 */
import { fitsBlocks } from '../checkpoint/gguf.ts'
import type { GgufType } from '../checkpoint/ggufBlocks.ts'

/** By llama.cpp's names. */
export const ggufFormats = ['F32', 'F16', 'Q8_0', 'Q6_K', 'Q5_K_M', 'Q4_K_M', 'Q4_0'] as const
export type GgufFormat = (typeof ggufFormats)[number]

/** llama.cpp's number of a format, in general.file_type. */
export const fileTypes: Readonly<Record<GgufFormat, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q8_0: 7,
  Q4_K_M: 15,
  Q5_K_M: 17,
  Q6_K: 18,
}

type Shaped = { name: string; shape: readonly number[] }

/**
 * Vectors, position embeddings, routers of experts and short convolutions stay fp32. The language head has more bits than the rest, since its errors are errors of the
 * logits. Rows that are not whole blocks get the smallest type of more bits whose blocks they fill, and F16 where there is none.
 * @param all tensors of the file
 */
export const storedType = (format: GgufFormat, { name, shape }: Shaped, all: readonly Shaped[]): GgufType => {
  if (shape.length < 2 || exact.test(name)) return 'F32'
  const head = all.some((tensor) => tensor.name === 'output.weight') ? 'output.weight' : 'token_embd.weight'
  const layers = all.filter((tensor) => /^blk\.\d+\.attn_norm\.weight$/.test(tensor.name)).length
  const experts = all.find((tensor) => tensor.name.endsWith('.ffn_up_exps.weight'))?.shape[0]
  const wanted = wantedType(format, name, { isHead: name === head, layers, experts })
  return [wanted, ...(larger[wanted] ?? []), 'F16' as const].find((type) => fitsBlocks(type, shape))!
}

const exact = /^position_embd\.|\.(ffn_gate_inp|shortconv\.conv|ssm_conv1d)\./

/** For rows that do not fill K blocks, as in llama.cpp. */
const larger: { readonly [T in GgufType]?: readonly GgufType[] } = {
  Q4_K: ['Q5_0'],
  Q5_K: ['Q5_1'],
  Q6_K: ['Q8_0'],
}

type Place = { isHead: boolean; layers: number; experts?: number }

const wantedType = (format: GgufFormat, name: string, { isHead, layers, experts }: Place): GgufType => {
  if (format === 'Q4_0') return isHead ? 'Q8_0' : 'Q4_0'
  if (format !== 'Q4_K_M' && format !== 'Q5_K_M') return format
  const plain = format === 'Q4_K_M' ? 'Q4_K' : 'Q5_K'
  const [, layer, module] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? []
  if (isHead) return 'Q6_K'
  if (module === 'attn_qkv') return format === 'Q4_K_M' ? 'Q5_K' : 'Q6_K'
  if (experts === 8 && (module === 'attn_v' || module === 'attn_k')) return 'Q8_0'
  if (experts === 8 && module === 'attn_output') return 'Q5_K'
  return /^(attn_v|ffn_down(_exps)?)$/.test(module) && needsMore(Number(layer), layers) ? 'Q6_K' : plain
}

/** The first and the last eighth of the layers, and every third between. */
const needsMore = (layer: number, layers: number): boolean => {
  const eighth = Math.floor(layers / 8)
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2
}
