/**
 * Reads config.json. transformers 5 writes `rope_parameters` and `dtype`; most files on the Hub have the older
 * `rope_theta`, `rope_scaling` and `torch_dtype`. Both become one form; every other key stays verbatim in `raw`.
 */
import { z } from 'zod'
import type { RopeParameters } from '../nn/rope.ts'
import { badInput } from '../util/fault.ts'
import type { Config } from './architecture.ts'

const size = z.int().positive()

const schema = z.looseObject({
  architectures: z.array(z.string()).min(1),
  model_type: z.string(),
  vocab_size: size,
  hidden_size: size.optional(),
  n_embd: size.optional(),
  num_hidden_layers: size.optional(),
  n_layer: size.optional(),
  num_attention_heads: size.optional(),
  n_head: size.optional(),
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  intermediate_size: size.optional(),
  n_inner: size.nullish(),
  max_position_embeddings: size.optional(),
  n_positions: size.optional(),
  tie_word_embeddings: z.boolean().optional(),
  initializer_range: z.number().optional(),
})

/** @param tied what this model type assumes when the file is silent on tied embeddings */
export const parseConfig = (raw: unknown, file: string): Config => {
  const parsed = schema.safeParse(raw)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw badInput('bad-config', `${issue.path.join('.') || 'the file'}: ${issue.message}`, { file })
  }
  const c = parsed.data
  const needed = (value: number | undefined, name: string): number => {
    if (value === undefined) throw badInput('bad-config', `${name} is missing`, { file })
    return value
  }
  const hidden = needed(c.hidden_size ?? c.n_embd, 'hidden_size')
  const heads = needed(c.num_attention_heads ?? c.n_head, 'num_attention_heads')
  const config: Config = {
    architectures: c.architectures,
    model_type: c.model_type,
    vocab_size: c.vocab_size,
    hidden_size: hidden,
    num_hidden_layers: needed(c.num_hidden_layers ?? c.n_layer, 'num_hidden_layers'),
    num_attention_heads: heads,
    num_key_value_heads: c.num_key_value_heads ?? heads,
    head_dim: c.head_dim ?? Math.floor(hidden / heads),
    intermediate_size: c.intermediate_size ?? c.n_inner ?? 4 * hidden,
    max_position_embeddings: needed(c.max_position_embeddings ?? c.n_positions, 'max_position_embeddings'),
    tie_word_embeddings: c.tie_word_embeddings ?? tiedByDefault.has(c.model_type),
    initializer_range: c.initializer_range ?? 0.02,
    rope: ropeTablesOf(c, file),
    raw: c,
  }
  return checked(config, file)
}

/** Model types whose config class ties embeddings unless told otherwise. */
const tiedByDefault = new Set(['gpt2', 'gemma', 'gemma2', 'gemma3_text', 'smollm3'])

const checked = (config: Config, file: string): Config => {
  const { num_attention_heads: heads, num_key_value_heads: kv } = config
  if (heads % kv) throw badInput('bad-config', `${heads} attention heads cannot share ${kv} key/value heads`, { file })
  return config
}

type Raw = Record<string, unknown>

/** One table by name ('' where all layers share it, else by layer type). */
const ropeTablesOf = (c: Raw, file: string): Record<string, RopeParameters> => {
  const given = c.rope_parameters as Raw | null | undefined
  const theta = (c.rope_theta as number | undefined) ?? 10_000
  if (given && !('rope_theta' in given) && Object.values(given).some((v) => typeof v === 'object'))
    return Object.fromEntries(Object.entries(given).map(([kind, rope]) => [kind, ropeOf(rope as Raw, theta, file)]))
  const plain = ropeOf(given ?? (c.rope_scaling as Raw | null) ?? {}, theta, file)
  if (c.rope_local_base_freq === undefined) return { '': plain }
  const local: RopeParameters = { rope_type: 'default', rope_theta: c.rope_local_base_freq as number }
  return { full_attention: plain, sliding_attention: local }
}

const ropeOf = (rope: Raw, theta: number, file: string): RopeParameters => {
  const type = (rope.rope_type ?? rope.type ?? 'default') as string
  if (!['default', 'linear', 'llama3'].includes(type))
    throw badInput('bad-config', `rope type ${JSON.stringify(type)} is not supported; default, linear and llama3 are`, {
      file,
    })
  return { rope_theta: theta, ...rope, rope_type: type } as RopeParameters
}
