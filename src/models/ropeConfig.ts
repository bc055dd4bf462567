/**
 * Rotary settings of a config, in either spelling: a table by name, '' where all layers share one. Gemma 3 and 4 and OLMo 3 have
 * two, by layer type. Types of rescaling that attune does not know are refused.
 */
import { z } from 'zod'
import type { RopeParameters } from '../nn/rope.ts'
import { badInput } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'

type Raw = {
  readonly [key: string]: unknown
  model_type: string
  partial_rotary_factor?: number | null
  max_position_embeddings?: number | null
  original_max_position_embeddings?: number | null
}

const positive = z.number().positive()
const factors = z.array(positive).max(65_536)

const schema = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  original_max_position_embeddings: positive.nullish(),
  partial_rotary_factor: positive.max(1).nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  truncate: z.boolean().nullish(),
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
  attention_factor: positive.nullish(),
  short_factor: factors.nullish(),
  long_factor: factors.nullish(),
  llama_4_scaling_beta: z.number().nullish(),
  alpha: z.number().nullish(),
})

type Parsed = z.infer<typeof schema>
type Key = keyof typeof schema.shape

/** Keys that each type needs, and those that it may have. */
const keys: Readonly<Record<RopeParameters['rope_type'], { needs: readonly Key[]; takes?: readonly Key[] }>> = {
  default: { needs: [] },
  linear: { needs: ['factor'] },
  dynamic: { needs: ['factor'] },
  llama3: { needs: ['factor', 'low_freq_factor', 'high_freq_factor'] },
  yarn: { needs: ['factor'], takes: ['beta_fast', 'beta_slow', 'truncate'] },
  longrope: { needs: ['short_factor', 'long_factor'] },
  proportional: { needs: [], takes: ['factor', 'partial_rotary_factor'] },
}

export type RopeTables = {
  tables: Record<string, RopeParameters>
  partial: number
  /** The longest text for which the tables hold, where that is less than the model's own. */
  longest?: number
}

export const ropeTablesOf = (c: Raw, file: string): RopeTables => {
  const parse = (value: unknown): Parsed => {
    const parsed = schema.safeParse(value ?? {})
    if (parsed.success) return parsed.data
    const { path, message } = parsed.error.issues[0]
    throw badInput('bad-config', `rope parameters: ${cut([...path, message].join(': '), 200)}`, { file })
  }
  const theta = thetaOf(c)
  const table = (value: unknown, base = theta) => ropeOf(parse(value), base, c, file)
  const given = c.rope_parameters ?? tablesByDefault[c.model_type]
  const plain = c.rope_scaling ?? given ?? ropeByDefault[c.model_type]?.(c)
  const partial =
    (isNested(given) ? undefined : parse(plain).partial_rotary_factor) ??
    c.partial_rotary_factor ??
    partialByDefault[c.model_type] ??
    1
  const tables = isNested(given)
    ? mapValues(given, (each) => table(each))
    : c.model_type === 'gemma3_text'
      ? { full_attention: table(plain), sliding_attention: table({ rope_theta: c.rope_local_base_freq }, 10_000) }
      : c.model_type === 'olmo3'
        ? // transformers 4 rescales full layers alone, and takes a fixed base for the others
          { full_attention: table(plain), sliding_attention: table({}, 500_000) }
        : { '': table(plain) }
  // Beyond, transformers takes other factors for the whole text, also for what it has read before
  const limits = Object.values(tables).flatMap((rope) =>
    rope.rope_type === 'longrope' ? [rope.original_max_position_embeddings!] : [],
  )
  return { tables, partial, longest: limits.length ? Math.min(...limits) : undefined }
}

/** What the config class assumes when the file is silent. */
const thetaOf = (c: Raw): number => positive.safeParse(c.rope_theta).data ?? thetaByDefault[c.model_type] ?? 1e4

const thetaByDefault: Readonly<Record<string, number | undefined>> = {
  gemma3_text: 1e6,
  smollm3: 2e6,
  olmo3: 5e5,
  lfm2: 1e6,
  mixtral: 1e6,
  gpt_oss: 150_000,
}

const partialByDefault: Readonly<Record<string, number | undefined>> = { qwen3_5_text: 0.25 }

const ropeByDefault: Readonly<Record<string, ((c: Raw) => object) | undefined>> = {
  ministral3: () => ({
    rope_type: 'yarn',
    rope_theta: 1e6,
    factor: 16,
    original_max_position_embeddings: 16_384,
    mscale: 1,
    mscale_all_dim: 1,
    llama_4_scaling_beta: 0.1,
  }),
  gpt_oss: () => ({
    rope_type: 'yarn',
    factor: 32,
    beta_fast: 32,
    beta_slow: 1,
    truncate: false,
    original_max_position_embeddings: 4096,
  }),
}

const tablesByDefault: Readonly<Record<string, object | undefined>> = {
  gemma4_text: {
    full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1e6 },
    sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
  },
}

const isNested = (given: unknown): given is Record<string, unknown> =>
  typeof given === 'object' && given !== null && ('full_attention' in given || 'sliding_attention' in given)

const mapValues = <T, U>(map: Record<string, T>, f: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, f(value)]))

/** Phi-3 has one rescaling, which its first files call otherwise. */
const typeOf = (rope: Parsed, { model_type }: Raw): string => {
  const type = rope.rope_type ?? rope.type ?? 'default'
  return model_type === 'phi3' && (type === 'su' || type === 'yarn') ? 'longrope' : type
}

const isKnown = (type: string): type is RopeParameters['rope_type'] => Object.hasOwn(keys, type)

const ropeOf = (rope: Parsed, theta: number, c: Raw, file: string): RopeParameters => {
  const type = typeOf(rope, c)
  if (!isKnown(type))
    throw badInput('bad-config', `rope type ${quoted(type)} is not supported; ${Object.keys(keys)} are`, { file })
  const { needs, takes = [] } = keys[type]
  const given = [...needs, ...takes].filter((key) => rope[key] !== undefined && rope[key] !== null)
  const missing = needs.find((key) => !given.includes(key))
  if (missing) throw badInput('bad-config', `rope type ${type} needs ${missing}`, { file })
  if (rope.alpha) throw badInput('bad-config', `alpha ${rope.alpha} of the rope parameters is not supported`, { file })
  const beta = c.model_type === 'ministral3' ? rope.llama_4_scaling_beta : undefined
  const known: RopeParameters = {
    rope_type: type,
    rope_theta: rope.rope_theta ?? theta,
    ...Object.fromEntries(given.map((key) => [key, rope[key]])),
    ...(beta && { llama_4_scaling_beta: beta }),
  }
  if (type !== 'llama3' && type !== 'yarn' && type !== 'longrope') return known
  const original = originalOf(rope, c)
  const scale = type === 'llama3' ? 1 : attentionFactor(rope, type, original, c)
  return {
    ...known,
    original_max_position_embeddings: original,
    ...(scale !== 1 && { attention_factor: scale }),
  }
}

/** The context before it was extended. Beside the rope parameters it counts more than in them. */
const originalOf = (rope: Parsed, c: Raw): number =>
  c.original_max_position_embeddings ??
  (c.model_type === 'phi3' ? 4096 : undefined) ??
  rope.original_max_position_embeddings ??
  c.max_position_embeddings ??
  1

/** What cos and sin are multiplied by: of YaRN (section 3.4) with DeepSeek's two exponents, of LongRoPE its own. */
const attentionFactor = (rope: Parsed, type: 'yarn' | 'longrope', original: number, c: Raw): number => {
  if (rope.attention_factor) return rope.attention_factor
  const factor = rope.factor ?? (c.max_position_embeddings ?? original) / original
  if (factor <= 1) return 1
  if (type === 'longrope') return Math.sqrt(1 + Math.log(factor) / Math.log(original))
  const grown = (share: number) => 0.1 * share * Math.log(factor) + 1
  return rope.mscale && rope.mscale_all_dim ? grown(rope.mscale) / grown(rope.mscale_all_dim) : grown(1)
}
