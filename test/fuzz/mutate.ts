/** Makes fuzz inputs from others: changed bytes, extreme numbers, words of the format, and changed JSON values. */
import type { Random } from './random.ts'
import type { Input } from './targets.ts'

const edges = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]
const MOST = 2 ** 16

/** Makes one to four changes to some bytes. `words` are words of the format. */
export const mutated = (
  bytes: Uint8Array,
  others: readonly Uint8Array[],
  words: readonly string[],
  r: Random,
): Uint8Array => {
  let now = bytes
  for (let n = 1 + r.int(4); n > 0; n--) now = changed(now, others, words, r)
  return now.length > MOST ? now.subarray(0, MOST) : now
}

const changed = (bytes: Uint8Array, others: readonly Uint8Array[], words: readonly string[], r: Random): Uint8Array => {
  const at = r.int(bytes.length + 1)
  switch (r.int(9)) {
    case 0: // a bit
      return replaced(bytes, at, 1, [(bytes[at] ?? 0) ^ (1 << r.int(8))])
    case 1: // a byte
      return replaced(bytes, at, 1, [r.once(2) ? r.int(256) : r.pick([0, 1, 10, 13, 34, 44, 92, 127, 128, 255])])
    case 2: // truncate
      return bytes.subarray(0, at)
    case 3: // remove a piece
      return replaced(bytes, at, 1 + r.int(r.once(2) ? 4 : 64), [])
    case 4: {
      // repeat a piece once or often
      const piece = bytes.subarray(at, at + 1 + r.int(16))
      const times = r.once(20) ? 1000 : 1 + r.int(3)
      return replaced(bytes, at, 0, repeated(piece, times))
    }
    case 5: {
      // an extreme number of 1 to 8 bytes
      const size = r.pick([1, 2, 4, 8])
      const value = r.pick(edges)
      const little = Array.from({ length: size }, (_, i) =>
        i < 4 ? (value >>> (8 * i)) & 255 : value & 0x80000000 ? 255 : 0,
      )
      return replaced(bytes, at, size, r.once(8) ? little.reverse() : little)
    }
    case 6: {
      // append the end of another input
      const other = r.pick(others)
      return joined(bytes.subarray(0, at), other.subarray(r.int(other.length + 1)))
    }
    default: // a word of the format
      return replaced(bytes, at, r.once(2) ? 0 : r.int(4), encode(words.length ? r.pick(words) : String(r.pick(edges))))
  }
}

const encoder = new TextEncoder()
const encode = (text: string) => encoder.encode(text)

const joined = (...parts: ArrayLike<number>[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

const repeated = (piece: Uint8Array, times: number) => joined(...Array.from({ length: times }, () => piece))

const replaced = (bytes: Uint8Array, at: number, length: number, by: ArrayLike<number>) =>
  joined(bytes.subarray(0, at), by, bytes.subarray(Math.min(bytes.length, at + length)))

/** Random words of a language, some separated by spaces. */
export const soup = (words: readonly string[], most: number, r: Random): string => {
  let text = ''
  for (let n = 1 + r.int(most); n > 0; n--) text += r.pick(words) + (r.once(3) ? ' ' : '')
  return text
}

// ---- JSON ------------------------------------------------------------------------------------------------------------

const unusualValues: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => 0,
  () => -1,
  () => 1.5,
  () => 1e308,
  () => 2 ** 53,
  () => 2 ** 31,
  () => '',
  () => 'x',
  () => '\u0000\u001b[31m\u2028',
  () => '😀é',
  () => '__proto__',
  () => [],
  () => ({}),
  () => [[]],
  () => [0, -1, 1.5],
  () => ({ __proto: 1, constructor: 2, length: 3 }),
  () => nested(300),
  () => Array.from({ length: 300 }, (_, i) => i),
  () => 'a'.repeat(3_000),
]

const nested = (depth: number): unknown => {
  let value: unknown = 1
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value }
  return value
}

/** A JSON value with one to three parts replaced, removed, doubled or moved. Unchanged parts are shared. */
export const changedJson = (value: unknown, r: Random, words: readonly string[] = []): unknown => {
  let now = value
  for (let n = 1 + r.int(3); n > 0; n--) now = changeIn(now, r, words)
  return now
}

const changeIn = (value: unknown, r: Random, words: readonly string[]): unknown => {
  if (typeof value !== 'object' || value === null || r.once(24)) return instead(value, r, words)
  const entries = Object.entries(value)
  if (!entries.length) return instead(value, r, words)
  const at = r.int(entries.length)
  const [key, part] = entries[at]
  if (!r.once(5)) entries[at] = [key, changeIn(part, r, words)]
  else
    switch (r.int(4)) {
      case 0:
        entries.splice(at, 1)
        break
      case 1:
        entries.push([words.length ? r.pick(words) : `${key}x`, part])
        break
      case 2:
        entries[at] = [words.length ? r.pick(words) : key.slice(1), part]
        break
      default:
        entries[at] = [key, r.pick(entries)[1]]
    }
  return Array.isArray(value) ? entries.map(([, part]) => part) : Object.fromEntries(entries)
}

const instead = (value: unknown, r: Random, words: readonly string[]): unknown => {
  if (typeof value === 'number' && r.once(2)) return value + r.pick([-1, 1, 0.5, 1e6])
  if (typeof value === 'string' && r.once(2)) {
    const at = r.int(value.length + 1)
    return value.slice(0, at) + (words.length ? r.pick(words) : '\n') + value.slice(at + r.int(3))
  }
  return words.length && r.once(3) ? r.pick(words) : r.pick(unusualValues)()
}

/** A JSON text made from a seed or an interesting input, with one or two changes. */
export const changedText =
  (seeds: readonly unknown[], words: readonly string[] = []) =>
  (r: Random, found: readonly Input[]): string => {
    const from = found.length && r.once(2) ? JSON.parse(found[r.int(found.length)] as string) : r.pick(seeds)
    return JSON.stringify(changedJson(from, r, words)) ?? 'null'
  }

/** Half of the inputs are random words, half are changed valid texts. */
export const speech =
  (words: readonly string[], most: number, seeds: readonly Uint8Array[]) =>
  (r: Random): string =>
    seeds.length && r.once(2) ? Buffer.from(mutated(r.pick(seeds), seeds, words, r)).toString() : soup(words, most, r)
