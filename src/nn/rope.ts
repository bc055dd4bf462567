/**
 * Rotary position embedding (Su et al. 2021) in the half-split form of GPT-NeoX and Llama: tables of cos and sin by
 * position, computed in double precision.
 */

/** The `rope_parameters` of a config, in transformers 5's names. */
export type RopeParameters = {
  rope_type: 'default' | 'linear' | 'llama3'
  rope_theta: number
  factor?: number
  low_freq_factor?: number
  high_freq_factor?: number
  original_max_position_embeddings?: number
}

/** Angle per position of each rotated pair: theta^(-2i/rotary), rescaled where the config says so. [rotary / 2] */
export const inverseFrequencies = (rope: RopeParameters, rotary: number): Float64Array => {
  const plain = Float64Array.from({ length: rotary / 2 }, (_, i) => rope.rope_theta ** ((-2 * i) / rotary))
  if (rope.rope_type === 'linear') return plain.map((f) => f / rope.factor!)
  return rope.rope_type === 'llama3' ? plain.map((f) => llama3(f, rope)) : plain
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

/** cos and sin, each row-major [length, rotary / 2]. */
export const ropeTables = (inverse: Float64Array, length: number) => {
  // float32 frequencies and angles: the rounding that checkpoints were trained with
  const angles = Float64Array.from({ length: length * inverse.length }, (_, i) =>
    Math.fround(Math.floor(i / inverse.length) * Math.fround(inverse[i % inverse.length])),
  )
  return { cos: Float32Array.from(angles, Math.cos), sin: Float32Array.from(angles, Math.sin) }
}
