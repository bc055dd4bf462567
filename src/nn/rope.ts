/**
 * Rotary position embedding (Su et al. 2021) in the half-split form of GPT-NeoX and Llama: tables of cos and sin by
 * position, computed in double precision.
 */

/** The `rope_parameters` of a config, in transformers 5's names. */
export type RopeParameters = {
  rope_type: 'default' | 'linear' | 'dynamic' | 'llama3' | 'yarn' | 'longrope' | 'proportional'
  rope_theta: number
  factor?: number
  low_freq_factor?: number
  high_freq_factor?: number
  original_max_position_embeddings?: number
  beta_fast?: number
  beta_slow?: number
  truncate?: boolean
  /** The share of each head that `proportional` turns, in pairs of its first and second half. */
  partial_rotary_factor?: number
  /** What LongRoPE divides each pair's frequency by, in texts up to the original context and in longer ones. */
  short_factor?: readonly number[]
  long_factor?: readonly number[]
  /** What cos and sin are multiplied by; default 1. */
  attention_factor?: number
  /** Ministral 3: queries grow by this times the logarithm of how often the original context fits before them. */
  llama_4_scaling_beta?: number
}

/** Angle per position of each rotated pair: theta^(-2i/rotary), rescaled where the config says so. [rotary / 2] */
export const inverseFrequencies = (rope: RopeParameters, rotary: number): Float64Array => {
  const plain = Float64Array.from({ length: rotary / 2 }, (_, i) => rope.rope_theta ** ((-2 * i) / rotary))
  switch (rope.rope_type) {
    case 'default':
    // Changes nothing up to max_position_embeddings, and no text is longer
    case 'dynamic':
      return plain
    case 'linear':
      return plain.map((f) => f / rope.factor!)
    case 'llama3':
      return plain.map((f) => llama3(f, rope))
    case 'yarn':
      return yarn(plain, rope, rotary)
    case 'longrope':
      return plain.map((f, i) => f / rope.short_factor![i])
    case 'proportional':
      return proportional(plain, rope)
  }
}

/** Llama 3.1: low frequencies divided by `factor`, high ones kept, those between blended by their wavelength. */
const llama3 = (frequency: number, rope: RopeParameters): number => {
  const { factor = 8, low_freq_factor: low = 1, high_freq_factor: high = 4 } = rope
  const context = rope.original_max_position_embeddings ?? 8192
  const wavelength = (2 * Math.PI) / frequency
  if (wavelength < context / high) return frequency
  if (wavelength > context / low) return frequency / factor
  const smooth = (context / wavelength - low) / (high - low)
  return ((1 - smooth) * frequency) / factor + smooth * frequency
}

/**
 * YaRN (Peng et al. 2023, arXiv 2309.00071, section 3.2): pairs that turn more than `beta_fast` times within the original context
 * keep their frequency, those that turn less than `beta_slow` times are divided by `factor`, those between are blended.
 */
const yarn = (plain: Float64Array, rope: RopeParameters, rotary: number): Float64Array => {
  const { factor = 1, beta_fast: fast = 32, beta_slow: slow = 1, truncate = true, rope_theta: theta } = rope
  const context = rope.original_max_position_embeddings!
  const pairOf = (turns: number) => (rotary * Math.log(context / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const [first, last] = [pairOf(fast), pairOf(slow)]
  const low = Math.max(truncate ? Math.floor(first) : first, 0)
  const end = Math.min(truncate ? Math.ceil(last) : last, rotary - 1)
  const high = low === end ? end + 0.001 : end
  return plain.map((f, i) => {
    const divided = Math.min(1, Math.max(0, (i - low) / (high - low)))
    return (f / factor) * divided + f * (1 - divided)
  })
}

/** Gemma 4: the pairs of low frequency keep their place in the head and do not turn. */
const proportional = (plain: Float64Array, { factor = 1, partial_rotary_factor: share = 1 }: RopeParameters) => {
  const turned = Math.floor(share * plain.length)
  return plain.map((f, i) => (i < turned ? f / factor : 0))
}

/** cos and sin, each row-major [length, rotary / 2]. */
export const ropeTables = (rope: RopeParameters, rotary: number, length: number) => {
  const inverse = inverseFrequencies(rope, rotary)
  const scale = rope.attention_factor ?? 1
  // float32 frequencies and angles: the rounding that checkpoints were trained with
  const angles = Float64Array.from({ length: length * inverse.length }, (_, i) =>
    Math.fround(Math.floor(i / inverse.length) * Math.fround(inverse[i % inverse.length])),
  )
  return {
    cos: Float32Array.from(angles, (angle) => scale * Math.cos(angle)),
    sin: Float32Array.from(angles, (angle) => scale * Math.sin(angle)),
  }
}
