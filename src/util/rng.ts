/**
 * Counter-based random numbers: a value depends on (seed, stream, counter) alone, never on what was drawn before, so
 * a resumed run, another batch size or another order of rows draws the same numbers.
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 */
const M0 = 0xd2511f53
const M1 = 0xcd9e8d57
const W0 = 0x9e3779b9
const W1 = 0xbb67ae85

/** Ten rounds on a 128-bit counter with a 64-bit key: four uniform 32-bit words. */
export const philox = (k0: number, k1: number, counter: readonly [number, number, number, number]): Uint32Array => {
  let [c0, c1, c2, c3] = counter
  for (let round = 0; round < 10; round++) {
    const [h0, l0] = multiply(M0, c0)
    const [h1, l1] = multiply(M1, c2)
    ;[c0, c1, c2, c3] = [h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0]
    k0 = (k0 + W0) | 0
    k1 = (k1 + W1) | 0
  }
  return Uint32Array.of(c0, c1, c2, c3)
}

/** High and low words of a 32 x 32 bit product, by halves of 16 bits: exact in doubles. */
const multiply = (a: number, b: number): [number, number] => {
  const [ah, al, bh, bl] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff]
  const low = al * bl
  const mid = ah * bl + (low >>> 16)
  const mid2 = al * bh + (mid & 0xffff)
  return [(ah * bh + Math.floor(mid / 65536) + (mid2 >>> 16)) | 0, Math.imul(a, b)]
}

/** A stream of random numbers, named by a seed and numbers such as (epoch) or (row, sample). */
export type Rng = {
  /** Uniform in [0, 1), with 32 bits. */
  uniform(i: number): number
  /** Standard normal (Box-Muller). */
  normal(i: number): number
}

export const rng = (seed: number, stream = 0, substream = 0): Rng => {
  const words = (i: number) =>
    philox(seed | 0, Math.floor(seed / 2 ** 32) | 0, [i | 0, (i / 2 ** 32) | 0, stream | 0, substream | 0])
  return {
    uniform: (i) => words(i)[0] / 2 ** 32,
    normal: (i) => {
      const [a, b] = words(i)
      return Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * b) / 2 ** 32)
    },
  }
}

/** A seeded permutation of 0..n-1 (Fisher-Yates). */
export const permutation = (n: number, random: Rng): Uint32Array => {
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random.uniform(i) * (i + 1))
    ;[order[i], order[j]] = [order[j], order[i]]
  }
  return order
}
