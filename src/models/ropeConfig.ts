/**
 * Rotary settings of a config, in either spelling: a table by name, '' where all layers share one. Gemma 3 has two, by
 * layer type. Types of rescaling that attune does not know are refused.
 */
import { z } from 'zod'
import type { RopeParameters } from '../nn/rope.ts'
import { badInput } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'

type Raw = { readonly [key: string]: unknown; model_type: string; partial_rotary_factor?: number | null }

const positive = z.number().positive()

const schema = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  original_max_position_embeddings: positive.nullish(),
  partial_rotary_factor: positive.max(1).nullish(),
})

type Parsed = z.infer<typeof schema>

/** Keys that each type needs. */
const needs: Readonly<Record<string, readonly (keyof RopeParameters)[]>> = {
  default: [],
  linear: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor'],
}

export type RopeTables = { tables: Record<string, RopeParameters>; partial: number }

export const ropeTablesOf = (c: Raw, file: string): RopeTables => {
  const parse = (value: unknown): Parsed => {
    const parsed = schema.safeParse(value ?? {})
    if (parsed.success) return parsed.data
    const { path, message } = parsed.error.issues[0]
    throw badInput('bad-config', `rope parameters: ${cut([...path, message].join(': '), 200)}`, { file })
  }
  const theta = thetaOf(c)
  const table = (value: unknown, base = theta) => ropeOf(parse(value), base, c, file)
  const given = c.rope_parameters
  const scaling = c.rope_scaling
  if (isNested(given)) return { tables: mapValues(given, (each) => table(each)), partial: c.partial_rotary_factor ?? 1 }
  const plain = scaling ?? given
  const partial = parse(plain).partial_rotary_factor ?? c.partial_rotary_factor ?? 1
  if (c.model_type !== 'gemma3_text') return { tables: { '': table(plain) }, partial }
  const local = table({ rope_theta: c.rope_local_base_freq }, 10_000)
  return { tables: { full_attention: table(plain), sliding_attention: local }, partial }
}

/** What the config class assumes when the file is silent. */
const thetaOf = (c: Raw): number => {
  const silent = c.model_type === 'gemma3_text' ? 1e6 : c.model_type === 'smollm3' ? 2e6 : 1e4
  return positive.safeParse(c.rope_theta).data ?? silent
}

const isNested = (given: unknown): given is Record<string, unknown> =>
  typeof given === 'object' && given !== null && ('full_attention' in given || 'sliding_attention' in given)

const mapValues = <T, U>(map: Record<string, T>, f: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, f(value)]))

const ropeOf = (rope: Parsed, theta: number, c: Raw, file: string): RopeParameters => {
  const type = rope.rope_type ?? rope.type ?? 'default'
  if (!Object.hasOwn(needs, type))
    throw badInput('bad-config', `rope type ${quoted(type)} is not supported; ${Object.keys(needs)} are`, {
      file,
    })
  const missing = needs[type].find((key) => rope[key] === undefined || rope[key] === null)
  if (missing) throw badInput('bad-config', `rope type ${type} needs ${missing}`, { file })
  const known = {
    rope_type: type as RopeParameters['rope_type'],
    rope_theta: rope.rope_theta ?? theta,
    ...Object.fromEntries(needs[type].map((key) => [key, rope[key]])),
  }
  if (type !== 'llama3') return known
  const length = rope.original_max_position_embeddings ?? c.max_position_embeddings
  return { ...known, original_max_position_embeddings: length as number }
}
