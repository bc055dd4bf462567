/**
 * Rounds weights to llama.cpp's K blocks of 256 values: Q4_K, Q5_K and Q6_K. Each part of a block (32 values, or 16 in Q6_K) has a
 * scale, and in Q4_K and Q5_K a minimum, that are found by a search for the least weighted squared error: levels are tried at
 * several spacings around the widest, and for each the best line through them is solved by least squares. Then the scales of a
 * block are rounded themselves, to integers times one fp16 number, and the levels are taken again for what was kept. As llama.cpp's
 * reference does without an importance matrix (quantize_row_q4_K_ref and others in ggml-quants.c).
 */
import { halfOf, toHalf } from './convert.ts'

/** 1.5 * 2^52: a number added to it has no place for its fraction. */
const wholes = 6755399441055744

/** Halves go to the even number, as in ggml. */
const nearest = (value: number): number => value + wholes - wholes

const clamped = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value))

const BLOCK = 256
const PART = 32

type Line = { scale: number; minimum: number }

const weights = new Float64Array(PART)

/**
 * x = scale * level - minimum with levels 0 to `top` and a minimum that is not negative. Larger values weigh more: |x| and the
 * root of their mean square.
 * @param first of the spacings tried, as levels more than `top` @param tries of them, a tenth of a level apart
 */
const lineOf = (x: Float32Array, from: number, top: number, first: number, tries: number): Line => {
  let [low, high, squares] = [0, x[from], 0]
  for (let i = from; i < from + PART; i++) {
    if (x[i] < low) low = x[i]
    if (x[i] > high) high = x[i]
    squares += x[i] * x[i]
  }
  if (high === low) return { scale: 0, minimum: -low }
  const base = Math.sqrt(squares / PART)
  let [sumW, sumX, sumXX] = [0, 0, 0]
  for (let i = 0; i < PART; i++) {
    const value = x[from + i]
    const w = base + Math.abs(value)
    weights[i] = w
    sumW += w
    sumX += w * value
    sumXX += w * value * value
  }
  let best = { scale: (high - low) / top, minimum: low }
  let least = Number.POSITIVE_INFINITY
  // the first try, at the widest spacing, is taken as it is; the others as least squares has them
  for (let turn = -1; turn <= tries; turn++) {
    const spacing = (turn < 0 ? top : top + first + 0.1 * turn) / (high - low)
    let [sumL, sumLL, sumXL] = [0, 0, 0]
    for (let i = 0; i < PART; i++) {
      const level = clamped(nearest(spacing * (x[from + i] - low)), 0, top)
      const w = weights[i]
      sumL += w * level
      sumLL += w * level * level
      sumXL += w * x[from + i] * level
    }
    let { scale, minimum } = best
    if (turn >= 0) {
      const determinant = sumW * sumLL - sumL * sumL
      if (determinant <= 0) continue
      scale = (sumW * sumXL - sumX * sumL) / determinant
      minimum = (sumLL * sumX - sumL * sumXL) / determinant
      if (minimum > 0) [scale, minimum] = [sumXL / sumLL, 0]
    }
    const error =
      sumXX +
      scale * scale * sumLL +
      minimum * minimum * sumW +
      2 * (scale * minimum * sumL - scale * sumXL - minimum * sumX)
    if (error < least) {
      least = error
      best = { scale, minimum }
    }
  }
  return { scale: best.scale, minimum: -best.minimum }
}

/** Where the fp16 numbers of a block are beyond float16, their value; else undefined. */
type Overflow = number | undefined

const levels = new Uint8Array(BLOCK)

/** Q4_K and Q5_K have the same scales and minima of 8 parts; their levels go to `levels`. */
const withMinima = (
  x: Float32Array,
  from: number,
  out: Uint8Array,
  at: number,
  search: { top: number; first: number; tries: number },
): Overflow => {
  const lines = Array.from({ length: 8 }, (_, part) =>
    lineOf(x, from + part * PART, search.top, search.first, search.tries),
  )
  const largest = Math.max(0, ...lines.map(({ scale }) => scale))
  const deepest = Math.max(0, ...lines.map(({ minimum }) => minimum))
  const [d, dmin] = [Math.fround(largest / 63), Math.fround(deepest / 63)]
  const [half, halfMin] = [toHalf(d), toHalf(dmin)]
  out.set([half & 255, half >> 8, halfMin & 255, halfMin >> 8], at)
  const rounded = (value: number, most: number) => (most > 0 ? Math.min(63, nearest((63 / most) * value)) : 0)
  for (const [part, { scale, minimum }] of lines.entries()) {
    const [s, m] = [rounded(scale, largest), rounded(minimum, deepest)]
    packScale(out, at + 4, part, s, m)
    const [step, offset] = [halfOf(half) * s, halfOf(halfMin) * m]
    for (let i = part * PART; i < (part + 1) * PART; i++)
      levels[i] = step ? clamped(nearest((x[from + i] + offset) / step), 0, search.top) : 0
  }
  return Number.isFinite(halfOf(half)) ? (Number.isFinite(halfOf(halfMin)) ? undefined : dmin) : d
}

/** 12 bytes for 8 scales and 8 minima of 6 bits: those of the first four parts whole, with the upper bits of the last four on top. */
const packScale = (out: Uint8Array, at: number, part: number, scale: number, minimum: number) => {
  if (part < 4) {
    out[at + part] = scale
    out[at + 4 + part] = minimum
    return
  }
  out[at + 4 + part] = (scale & 15) | ((minimum & 15) << 4)
  out[at + part - 4] |= (scale >> 4) << 6
  out[at + part] |= (minimum >> 4) << 6
}

const q4k = (x: Float32Array, from: number, out: Uint8Array, at: number): Overflow => {
  const overflow = withMinima(x, from, out, at, { top: 15, first: -1, tries: 20 })
  for (let pair = 0; pair < 4; pair++)
    for (let i = 0; i < PART; i++)
      out[at + 16 + pair * PART + i] = levels[2 * pair * PART + i] | (levels[(2 * pair + 1) * PART + i] << 4)
  return overflow
}

const q5k = (x: Float32Array, from: number, out: Uint8Array, at: number): Overflow => {
  const overflow = withMinima(x, from, out, at, { top: 31, first: -0.5, tries: 15 })
  for (let i = 0; i < PART; i++) {
    let fifth = 0
    for (let part = 0; part < 8; part++) fifth |= (levels[part * PART + i] >> 4) << part
    out[at + 16 + i] = fifth
    for (let pair = 0; pair < 4; pair++)
      out[at + 48 + pair * PART + i] =
        (levels[2 * pair * PART + i] & 15) | ((levels[(2 * pair + 1) * PART + i] & 15) << 4)
  }
  return overflow
}

/** The scale for levels -32 to 31 of 16 values, weighted by their squares; signed, so that the value farthest from 0 gets -32. */
const scaleOf = (x: Float32Array, from: number): number => {
  let far = 0
  for (let i = from; i < from + 16; i++) if (Math.abs(x[i]) > Math.abs(far)) far = x[i]
  if (Math.abs(far) < 1e-15) return 0
  let [best, most] = [0, 0]
  // the plain spacing first, so that another is taken only where it is better
  for (let turn = 0; turn <= 18; turn++) {
    const shift = turn === 0 ? 0 : turn <= 9 ? turn - 10 : turn - 9
    const spacing = -(32 + 0.1 * shift) / far
    let [sumXL, sumLL] = [0, 0]
    for (let i = from; i < from + 16; i++) {
      const level = clamped(nearest(spacing * x[i]), -32, 31)
      const w = x[i] * x[i]
      sumXL += w * x[i] * level
      sumLL += w * level * level
    }
    // what least squares takes off the error
    if (sumLL > 0 && sumXL * sumXL > most * sumLL) {
      best = sumXL / sumLL
      most = best * sumXL
    }
  }
  return best
}

const q6k = (x: Float32Array, from: number, out: Uint8Array, at: number): Overflow => {
  const scales = Array.from({ length: 16 }, (_, part) => scaleOf(x, from + part * 16))
  let far = 0
  for (const scale of scales) if (Math.abs(scale) > Math.abs(far)) far = scale
  const d = Math.fround(far / -128)
  const half = toHalf(d)
  out.set([half & 255, half >> 8], at + 208)
  for (const [part, scale] of scales.entries()) {
    const s = far === 0 ? 0 : Math.min(127, nearest((-128 / far) * scale))
    out[at + 192 + part] = s
    const step = halfOf(half) * s
    for (let i = part * 16; i < (part + 1) * 16; i++)
      levels[i] = 32 + (step ? clamped(nearest(x[from + i] / step), -32, 31) : 0)
  }
  for (let i = 0; i < BLOCK; i++) {
    if (i % 128 < 64) out[at + 64 * (i >> 7) + (i & 63)] = (levels[i] & 15) | ((levels[i + 64] & 15) << 4)
    if (i % 128 < 32)
      out[at + 128 + 32 * (i >> 7) + (i & 31)] =
        (levels[i] >> 4) | ((levels[i + 32] >> 4) << 2) | ((levels[i + 64] >> 4) << 4) | ((levels[i + 96] >> 4) << 6)
  }
  return Number.isFinite(halfOf(half)) ? undefined : d
}

/** Each writes the block x[from..from+256) at `at` of zeroed bytes. */
export const kBlocks = { Q4_K: q4k, Q5_K: q5k, Q6_K: q6k }
