/** The rotation of a model in a GGUF file, from its settings and from the factors that are among its tensors. */
import { inverseFrequencies, type RopeParameters } from '../nn/rope.ts'
import { badInput } from '../util/fault.ts'

/** Reads the settings of one file. */
export type GgufSettingsReader = {
  file: string
  /** A number `ARCHITECTURE.key`; `silent` where it is absent. Throws a Fault where neither is there. */
  number(key: string, silent?: number): number
  optional(key: string): number | undefined
  text(key: string): string | undefined
  /** A number for each layer, where the file has one for each; undefined where it has one number, or none. */
  each(key: string): readonly number[] | undefined
  /** The shape of a tensor by its name in the file. */
  shape(name: string): readonly number[] | undefined
  /** The values of a tensor by which frequencies of the rotation are divided: what Llama 3.1's scaling or LongRoPE makes of each pair. */
  factors(name: RopeFactors): Float32Array | undefined
}

/** Tensors that are part of the config, and no weights. */
export const ropeFactors = ['rope_freqs.weight', 'rope_factors_short.weight', 'rope_factors_long.weight'] as const
export type RopeFactors = (typeof ropeFactors)[number]

type Json = { readonly [key: string]: unknown }

export const ropeOf = (read: GgufSettingsReader, base = 10_000): Json => {
  const { number, optional, text } = read
  const theta = { rope_theta: number('rope.freq_base', base) }
  const older = optional('rope.scale_linear')
  const [short, long] = [read.factors('rope_factors_short.weight'), read.factors('rope_factors_long.weight')]
  if (short && long)
    return {
      rope_type: 'longrope',
      ...theta,
      short_factor: [...short],
      long_factor: [...long],
      original_max_position_embeddings: optional('rope.scaling.original_context_length'),
      attention_factor: optional('rope.scaling.attn_factor'),
    }
  const type = text('rope.scaling.type') ?? (older === undefined || older === 1 ? 'none' : 'linear')
  if (type === 'none') {
    const factors = read.factors('rope_freqs.weight')
    return factors ? llama3Of(read, factors, theta.rope_theta) : { rope_type: 'default', ...theta }
  }
  const factor = optional('rope.scaling.factor') ?? older
  const beta = {
    beta_fast: optional('rope.scaling.yarn_beta_fast'),
    beta_slow: optional('rope.scaling.yarn_beta_slow'),
  }
  return {
    rope_type: type,
    ...theta,
    factor,
    ...(type === 'yarn' && {
      original_max_position_embeddings: optional('rope.scaling.original_context_length'),
      attention_factor: (optional('rope.scaling.attn_factor') ?? 1) * (0.1 * Math.log(factor ?? 1) + 1),
      ...beta,
    }),
  }
}

/** Contexts that models with Llama 3.1's scaling were first trained at; any other is found from the factors. */
const firstContext = 8192

/**
 * The settings of Llama 3.1's scaling that give these factors. Between its two wavelengths a factor f is 1 / ((1-s)/F + s), where
 * s is a line in 1/wavelength; the line tells low_freq_factor and high_freq_factor for the context of 8192.
 */
const llama3Of = ({ number, file }: GgufSettingsReader, given: Float32Array, rope_theta: number): Json => {
  const rotary = 2 * given.length
  const factor = given.reduce((a, b) => Math.max(a, b))
  const made = (low: number, high: number, context: number): RopeParameters => ({
    rope_type: 'llama3',
    rope_theta,
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: context,
  })
  const plain = inverseFrequencies({ rope_type: 'default', rope_theta }, rotary)
  const fits = (rope: RopeParameters) => {
    const scaled = inverseFrequencies(rope, rotary)
    return plain.every((frequency, i) => Math.abs(frequency / scaled[i] / given[i] - 1) < 1e-4)
  }
  if (factor === 1) return { rope_type: 'default', rope_theta }
  const contexts = [firstContext, number('context_length'), number('context_length') / factor]
  const usual = contexts.map((context) => made(1, 4, context)).find(fits)
  const found = usual ?? fitted(given, plain, factor, made)
  if (found && fits(found)) return { ...found }
  throw badInput(
    'gguf',
    'has rope_freqs.weight with factors that are not those of Llama 3.1; attune reads those alone',
    {
      file,
    },
  )
}

const fitted = (
  given: Float32Array,
  plain: Float64Array,
  factor: number,
  made: (low: number, high: number, context: number) => RopeParameters,
): RopeParameters | undefined => {
  const points = [...given].flatMap((f, i) => {
    const smooth = (1 / f - 1 / factor) / (1 - 1 / factor)
    return smooth > 1e-4 && smooth < 1 - 1e-4 ? [{ x: plain[i] / (2 * Math.PI), smooth }] : []
  })
  if (points.length < 2) return undefined
  const [first, last] = [points[0], points.at(-1)!]
  const slope = (first.smooth - last.smooth) / (first.x - last.x)
  const spread = firstContext / slope
  const low = (last.x * slope - last.smooth) * spread
  return made(low, low + spread, firstContext)
}
