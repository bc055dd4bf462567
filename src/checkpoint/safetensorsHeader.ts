/**
 * Parses the JSON header of a safetensors file: `{"__metadata__": {text: text}, name: {"dtype", "shape": [u64],
 * "data_offsets": [u64, u64]}}`. JSON.parse is not used, since it hides duplicate keys and rounds numbers above 2^53.
 * The parser does not recurse, and every fault has its byte offset.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { type Dtype, dtypeBytes } from './stored.ts'

export type HeaderEntry = { name: string; dtype: Dtype; shape: bigint[]; begin: bigint; end: bigint }

/** More than any model has; keeps a header of 100 MB from becoming millions of objects. */
const TENSOR_LIMIT = 100_000
const METADATA_LIMIT = 100_000
/** torch's own limit on the sizes of a shape. */
const RANK_LIMIT = 64
const U64_LIMIT = 2n ** 64n

/** @param text the header without its length. Throws Faults 'bad-header' and 'duplicate-key'. */
export const parseHeader = (text: string, file: string): { metadata: Map<string, string>; entries: HeaderEntry[] } => {
  const json = scanner(text, file)
  const metadata = new Map<string, string>()
  const entries: HeaderEntry[] = []
  if (text[0] !== '{') json.fail('the header does not begin with {')
  json.object((name) => {
    if (name === '__metadata__')
      json.object((key) => {
        metadata.set(key, json.string())
        if (metadata.size > METADATA_LIMIT) json.fail(`more than ${METADATA_LIMIT} keys of metadata`)
      })
    else entries.push(entryOf(name, json))
    if (entries.length > TENSOR_LIMIT) json.fail(`more than ${TENSOR_LIMIT} tensors`)
  })
  json.end()
  return { metadata, entries }
}

const entryOf = (name: string, json: Scanner): HeaderEntry => {
  let dtype = ''
  let shape: bigint[] | undefined
  let offsets: bigint[] = []
  json.object((key) => {
    if (key === 'dtype') dtype = json.string()
    else if (key === 'shape') shape = json.integers()
    else if (key === 'data_offsets') offsets = json.integers()
    else json.fail(`tensor ${quoted(name)} has the unknown key ${quoted(key)}`)
  })
  if (!Object.hasOwn(dtypeBytes, dtype)) json.fail(`tensor ${quoted(name)} has the dtype ${quoted(dtype)}`)
  if (!shape) json.fail(`tensor ${quoted(name)} has no shape`)
  if (offsets.length !== 2) json.fail(`tensor ${quoted(name)} needs two data_offsets`)
  return { name, dtype: dtype as Dtype, shape: shape!, begin: offsets[0], end: offsets[1] }
}

type Scanner = ReturnType<typeof scanner>

const scanner = (text: string, file: string) => {
  let at = 0
  const fail = (what: string, code = 'bad-header'): never => {
    const offset = 8 + utf8Length(text, at)
    throw badInput(code, `${what}; the safetensors header is broken, fetch the file again`, { file, offset })
  }
  const next = (): string => {
    while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++
    return text[at] ?? ''
  }
  const take = (char: string) => (next() === char ? at++ : fail(`expected ${char} in the header`))
  const skip = (char: string) => next() === char && ++at > 0
  const string = (): string => {
    take('"')
    const start = at
    while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
    take('"')
    const value = parseString(text.slice(start - 1, at))
    return value ?? fail('a text in the header is not valid JSON')
  }
  const integer = (): bigint => {
    next()
    const start = at
    while (text[at] >= '0' && text[at] <= '9') at++
    const digits = text.slice(start, at)
    if (!/^(0|[1-9]\d{0,19})$/.test(digits)) fail('expected a whole number from 0 to 2^64 - 1')
    const value = BigInt(digits)
    return value < U64_LIMIT ? value : fail('a number is not below 2^64')
  }
  const integers = (): bigint[] => {
    take('[')
    const values: bigint[] = []
    if (skip(']')) return values
    do {
      if (values.length >= RANK_LIMIT) fail(`more than ${RANK_LIMIT} numbers in a list`)
      values.push(integer())
    } while (skip(','))
    take(']')
    return values
  }
  const object = (member: (key: string) => void) => {
    take('{')
    const seen = new Set<string>()
    if (skip('}')) return
    do {
      const key = string()
      if (seen.has(key)) fail(`the key ${quoted(key)} stands twice`, 'duplicate-key')
      seen.add(key)
      take(':')
      member(key)
    } while (skip(','))
    take('}')
  }
  const end = () => (next() === '' ? undefined : fail('something follows the header object'))
  return { fail, string, integers, object, end }
}

/** UTF-8 bytes of the first `end` units of a text. */
const utf8Length = (text: string, end: number): number => {
  let bytes = 0
  for (let at = 0; at < Math.min(end, text.length); at++) {
    const c = text.charCodeAt(at)
    // each half of a surrogate pair counts two of the four bytes
    bytes += c < 0x80 ? 1 : c < 0x800 || (c >= 0xd800 && c < 0xe000) ? 2 : 3
  }
  return bytes
}

/** The text of a JSON literal; undefined where it is not JSON or contains half of a surrogate pair. */
const parseString = (literal: string): string | undefined => {
  try {
    const value: string = /[\\\p{Cc}]/u.test(literal) ? JSON.parse(literal) : literal.slice(1, -1)
    return /\p{Surrogate}/u.test(value) ? undefined : value
  } catch {
    return undefined
  }
}
