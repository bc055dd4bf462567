/**
 * The interface of an architecture: pure functions over a Scope, and tables of shapes. Each has a file; registry.ts
 * lists them. Weights keep their checkpoint names. Hidden states are [N, C], the tokens of a batch without padding.
 */
import type { Attend } from '../nn/attention.ts'
import type { HeadOptions } from '../nn/head.ts'
import type { RopeParameters } from '../nn/rope.ts'
import type { Scope } from '../nn/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Names of the heads' weights, the same in every architecture: of the language head where it is not tied, of scores. */
export const headWeight = 'lm_head.weight'
export const scoreWeight = 'score.weight'

/** config.json, verbatim, with the two spellings of rotary parameters joined; see config.ts. */
export type Config = {
  architectures: string[]
  model_type: string
  vocab_size: number
  hidden_size: number
  num_hidden_layers: number
  num_attention_heads: number
  num_key_value_heads: number
  head_dim: number
  intermediate_size: number
  max_position_embeddings: number
  tie_word_embeddings: boolean
  initializer_range: number
  /** Outputs of a score head. */
  num_labels: number
  /** One of `activations` in nn/layers.ts, whatever the key was called. */
  activation: string
  /** Share of each head that is rotated. */
  partial_rotary_factor: number
  rope?: Record<string, RopeParameters>
  /** The whole file as it was; settings of a single architecture are read from it. */
  raw: Readonly<Record<string, unknown>>
}

/** What a block gets from the code that runs it: attention and rotation. */
export type BlockContext = {
  attend: Attend
  /** Rotates [N, heads*D] by the tokens' positions, with the table of this name. */
  rotate(x: Tensor, heads: number, table: string, rotary: number): Tensor
}

/** Layers of one kind share a trace. */
export type LayerKind = {
  /** Attention window, if any. */
  window?: number
  /** Name of the rotary table; none: no rotation. */
  rope?: string
}

export type Architecture = {
  /** As in config.json: 'LlamaForCausalLM'. */
  name: string
  /** Every parameter with its shape, in the order of the blocks. */
  shapes(config: Config): Map<string, readonly number[]>
  layerPrefix(layer: number): string
  layerKind(config: Config, layer: number): LayerKind
  /** Rotated values of each head; 0 without rotation. */
  rotary(config: Config): number
  /** ids [N] i64, positions [N] i64 -> [N, C] */
  embed(p: Scope, ids: Tensor, positions: Tensor, config: Config): Tensor
  /** [N, C] -> [N, C], parameters relative to the layer's prefix */
  block(p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor
  /** The norm before the head. */
  finalNorm(p: Scope, x: Tensor, config: Config): Tensor
  /** Names outside the blocks. */
  embedding: string
  head(config: Config): Pick<HeadOptions, 'weight' | 'module' | 'softcap'>
  /** Module names of a block's linear layers, for LoRA's `all-linear`. */
  linears(config: Config): readonly string[]
  /** A score head, in place of the language head or beside it; see scored.ts. */
  scores?: 'alone' | 'beside'
  /** GPT-2: linear weights are stored as [in, out]. */
  conv1d?: boolean
  /** Gemma: norm weights are stored as what is added to 1, so a fresh one is 0. */
  zeroNorms?: boolean
  /** The name in a checkpoint as attune knows it; undefined for what is to be ignored. */
  rename?(name: string): string | undefined
}
