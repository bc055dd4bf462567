/**
 * Counter-based random numbers: a value depends on (seed, stream, counter) alone, never on what was drawn before, so
 * a resumed run, another batch size or another order of rows draws the same numbers.
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 */
const M0 = 0xd2511f53 | 0
const M1 = 0xcd9e8d57 | 0
const W0 = 0x9e3779b9 | 0
const W1 = 0xbb67ae85 | 0

/** Ten rounds on a 128-bit counter with a 64-bit key: four uniform 32-bit words. */
export const philox = (k0: number, k1: number, counter: readonly [number, number, number, number]): Uint32Array => {
  const out = new Uint32Array(4)
  philoxInto(out, 0, k0, k1, ...counter)
  return out
}

/** Writes four words at `at`. Locals only: this is the loop that fills a model's weights. */
const philoxInto = (
  out: Uint32Array,
  at: number,
  k0: number,
  k1: number,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
) => {
  for (let round = 0; round < 10; round++) {
    const high0 = high(M0, c0)
    const high1 = high(M1, c2)
    const low0 = Math.imul(M0, c0)
    const low1 = Math.imul(M1, c2)
    c0 = high1 ^ c1 ^ k0
    c1 = low1
    c2 = high0 ^ c3 ^ k1
    c3 = low0
    k0 = (k0 + W0) | 0
    k1 = (k1 + W1) | 0
  }
  out[at] = c0
  out[at + 1] = c1
  out[at + 2] = c2
  out[at + 3] = c3
}

/** High word of a 32 x 32 bit product, by halves of 16 bits. */
const high = (a: number, b: number): number => {
  const al = a & 0xffff
  const ah = a >>> 16
  const bl = b & 0xffff
  const bh = b >>> 16
  const cross = Math.imul(ah, bl)
  const cross2 = Math.imul(al, bh)
  const carry = ((Math.imul(al, bl) >>> 16) + (cross & 0xffff) + (cross2 & 0xffff)) >>> 16
  return (Math.imul(ah, bh) + (cross >>> 16) + (cross2 >>> 16) + carry) | 0
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

/** Which random numbers: a seed and up to two numbers that name the stream. */
export type Stream = { seed: number; stream?: number; substream?: number }

/** Words handled at a time. */
const BLOCK = 4096

/** Calls back with word i and i; word i depends on (seed, stream, substream, i) alone. */
const eachWord = (
  count: number,
  { seed, stream = 0, substream = 0 }: Stream,
  use: (word: number, i: number) => void,
) => {
  const words = new Uint32Array(BLOCK)
  const [k0, k1] = [seed | 0, Math.floor(seed / 2 ** 32) | 0]
  for (let start = 0; start < count; start += BLOCK) {
    const end = Math.min(BLOCK, count - start)
    for (let at = 0; at < end; at += 4) {
      const counter = (start + at) / 4
      philoxInto(words, at, k0, k1, counter | 0, (counter / 2 ** 32) | 0, stream | 0, substream | 0)
    }
    for (let at = 0; at < end; at++) use(words[at], start + at)
  }
}

/** Fills with uniform numbers in [low, high). */
export const fillUniform = (out: Float32Array, from: Stream, low: number, high: number): Float32Array => {
  const scale = (high - low) / 2 ** 32
  eachWord(out.length, from, (word, i) => {
    out[i] = low + word * scale
  })
  return out
}

/** Fills with normal numbers of this standard deviation: one word each, so at most 6.3 deviations from 0. */
export const fillNormal = (out: Float32Array, from: Stream, std: number): Float32Array => {
  eachWord(out.length, from, (word, i) => {
    out[i] = std * normalOf((word - 0x7fffffff - 0.5) / 2 ** 32)
  })
  return out
}

/** The normal quantile of 1/2 + q, |q| < 1/2 - 2^-34, to 1e-7 (Wichura 1988, AS 241, PPND7; its far tail is never reached). */
const normalOf = (q: number): number => {
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q
    const top = ((59.10937472 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
    return (q * top) / (((67.1875636 * r + 78.757757664) * r + 17.895169469) * r + 1)
  }
  const r = Math.sqrt(-Math.log(0.5 - Math.abs(q))) - 1.6
  const top = ((0.17023821103 * r + 1.3067284816) * r + 2.75681539) * r + 1.4234372777
  const z = top / ((0.12021132975 * r + 0.7370016425) * r + 1)
  return q < 0 ? -z : z
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
