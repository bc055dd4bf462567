/**
 * The interface of an architecture: pure functions over a Scope, and tables of shapes. Each has a file; registry.ts
 * lists them. Weights keep their checkpoint names. Hidden states are [N, C], the tokens of a batch without padding.
 */
import type { Attend } from '../nn/attention.ts'
import type { DeltaRule } from '../nn/deltaRule.ts'
import type { HeadOptions } from '../nn/head.ts'
import type { Buckets } from '../nn/relative.ts'
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
  /** Where layers differ, the largest. */
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
  /** [N] i64: position of each token in its own text. */
  positions: Tensor
  /** x [N, width] with what stood before it in its own text: of the tokens `count` places earlier, ..., 1 place earlier, and itself. */
  recent(x: Tensor, count: number): Tensor[]
  /** Gated linear attention: see nn/deltaRule.ts. */
  deltaRule: DeltaRule
}

/** Layers of one kind share a trace. */
export type LayerKind = {
  /** A layer without attention, which reads so many of the tokens before: see `recent`. */
  recent?: { count: number; width: number }
  /** Such a layer that computes by the delta rule: the shape of what it keeps of a whole text. */
  state?: readonly number[]
  /** Attention window, if any. */
  window?: number
  /** Name of the rotary table; none: no rotation. */
  rope?: string
  /** A layer without keys and values of its own, which attends to those of this earlier layer. */
  keysOf?: number
  /** A layer whose keys and values later ones attend to. */
  givesKeys?: boolean
}

/** What an encoder has that a decoder lacks: its tokens attend to later ones too, and it writes no text. */
export type EncoderParts = {
  /** Distances of attention by relative position, where it has that. */
  distances?(config: Config): Buckets | undefined
  /**
   * Rows behind those of the tokens in the hidden states, which every block reads and passes on: DeBERTa's table of relative
   * positions. So all blocks share it, and its gradient comes back through all of them.
   */
  sharedRows?(config: Config): number
  /** Rows of the table of positions for the tokens of a text, padding among them. */
  positions(ids: ArrayLike<number>, config: Config): number[]
  /** Tokens that a text may have; Infinity without absolute positions. */
  longestText(config: Config): number
  /** Kinds of tokens (first or second sentence); 0: it does not tell them apart. */
  tokenTypes(config: Config): number
}

/** The three tokens of a pair ranker that the scores are read at: before the source, and before each of two candidates. */
export const pairMarkers = ['<|source|>', '<|candidate1|>', '<|candidate2|>'] as const

/** A mixture of experts in place of the MLP. Each expert has linear modules of its own, `...experts.3.down_proj`. */
export type Experts = {
  count(config: Config): number
  /** How many of them a token goes to. */
  perToken(config: Config): number
  /** The module that chooses. Its weight is never rounded: a small error there changes which experts are computed. */
  router: string
  /** In the order in which transformers 5 has them. */
  stacks(config: Config): readonly ExpertStack[]
}

/** Weights of a layer that transformers 5 holds as one parameter: of all experts, or the router's. */
export type ExpertStack = {
  /** As it is called there, and in PEFT's `target_parameters`. */
  parameter: string
  /** The modules here, for each expert those whose weights are its rows, one after the other. */
  modules: readonly (readonly string[])[]
  /**
   * The tensors of all experts in a checkpoint, weights [experts, out, in], or [experts, in, out] when transposed, and biases
   * [experts, out]; where there are none, a checkpoint has a tensor for each module.
   */
  stored?: { weight: string; bias?: string; transposed?: boolean }
  /** PEFT reads an adapter of the modules, as transformers 4 had them, too. */
  named?: boolean
}

export type Architecture = {
  /** As in config.json: 'LlamaForCausalLM'. */
  name: string
  /** The form that a config means, where it has more than one under its name. */
  formOf?(config: Config): Architecture
  /** Every parameter with its shape, in the order of the blocks. */
  shapes(config: Config): Map<string, readonly number[]>
  layerPrefix(layer: number): string
  layerKind(config: Config, layer: number): LayerKind
  /** Columns of the hidden states between the blocks, where they carry more than the state [N, C] in front. */
  width?(config: Config): number
  /** Rotated values of each head, by the table of this name where tables differ in that; 0 without rotation. */
  rotary(config: Config, table?: string): number
  /** ids [N] i64, positions [N] i64 -> [N, C]; an encoder also reads token types [N] i64, and adds its shared rows. */
  embed(p: Scope, ids: Tensor, positions: Tensor, config: Config, types?: Tensor): Tensor
  /** [N, C] -> [N, C], parameters relative to the layer's prefix */
  block(p: Scope, x: Tensor, context: BlockContext, config: Config, kind: LayerKind): Tensor
  /** The norm before the head. */
  finalNorm(p: Scope, x: Tensor, config: Config): Tensor
  /** Names outside the blocks. */
  embedding: string
  head(config: Config): Pick<HeadOptions, 'weight' | 'module' | 'softcap'>
  /** Module names of the blocks' linear layers, for LoRA's `all-linear`; a layer has those of them that it has weights of. */
  linears(config: Config): readonly string[]
  /** Linear modules outside the blocks but for the head, which LoRA's `all-linear` means too. */
  outerLinears?: readonly string[]
  /** Whether a weight is never trained: one that is a buffer in transformers. */
  isFixed?(name: string): boolean
  /** A setting of its own that it does not compute, in words. */
  lacks?(config: Config): string | undefined
  /** Settings that would be refused, but which it computes; see unsupported.ts. */
  computes?: readonly string[]
  /** Methods of `quantization_config` whose weights it reads. */
  unpacks?: readonly string[]
  encoder?: EncoderParts
  experts?: Experts
  /**
   * The head of a pair ranker: its parameters, and the scores [M, tasks] of hidden states [M, C] in threes, at the markers of a
   * source and of its two candidates. The scores at the source mean nothing.
   */
  pairs?: { weights: readonly string[]; tasks(config: Config): number; scores(p: Scope, h: Tensor): Tensor }
  /** A score head, in place of the language head or beside it; see scored.ts. */
  scores?: 'alone' | 'beside'
  /** GPT-2: linear weights are stored as [in, out]. */
  conv1d?: boolean
  /** Gemma: norm weights are stored as what is added to 1, so a fresh one is 0. */
  zeroNorms?: boolean
  /** How a parameter begins that is no plain weight, bias or norm: its values, of uniform random numbers from 0 to 1. */
  begins?(name: string): ((uniform: number) => number) | undefined
  /** The name in a checkpoint as attune knows it; undefined for what is to be ignored. */
  rename?(name: string): string | undefined
}
