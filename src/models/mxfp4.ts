/**
 * MXFP4 as gpt-oss's checkpoints have it: blocks of 32 values, each a 4-bit float (one bit of sign, two of exponent, one of mantissa),
 * with a power of two for the whole block (OCP Microscaling Formats 1.0). Two values a byte, the lower half first.
 */

const magnitudes = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
const values = Float32Array.from([...magnitudes, ...magnitudes.map((x) => -x)])

/** Bytes of a block. */
export const mxfp4Block = 16
const exponentBias = 127

/** @param blocks [..., 16]   @param scales [...], one for each block */
export const fromMxfp4 = (blocks: Uint8Array, scales: Uint8Array): Float32Array => {
  const out = new Float32Array(2 * blocks.length)
  for (let i = 0; i < blocks.length; i++) {
    const scale = 2 ** (scales[Math.floor(i / mxfp4Block)] - exponentBias)
    out[2 * i] = values[blocks[i] & 15] * scale
    out[2 * i + 1] = values[blocks[i] >> 4] * scale
  }
  return out
}
