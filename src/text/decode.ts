/** The decoders of tokenizer.json, one entry for each type: from a list of tokens to texts that are then joined. */

import type { JsonPart } from './jsonPart.ts'
import { readPattern } from './pattern.ts'
import { alphabetBytes, utf8 } from './unicode.ts'
import type { Work } from './work.ts'
import { lengthOf, workFor } from './work.ts'

export type Decoder = {
  readonly type: string
  /** `work` limits what a sequence of steps may write; by default it is a limit for these tokens. */
  readonly decode: (tokens: readonly string[], work?: Work) => string[]
  /** The steps of a Sequence, in order. */
  readonly steps?: readonly Decoder[]
  /** Strip: removes `content` from the beginning up to `start` times. */
  readonly strip?: { content: string; start: number }
}

export const readDecoder = (json: JsonPart): Decoder => {
  const type = json.at('type').text()
  const read = Object.hasOwn(decoders, type) ? decoders[type] : undefined
  if (!read) return json.fail(`is of the unknown type ${type}`)
  const { decode, ...more } = read(json)
  return { type, ...more, decode: (tokens, work = workFor(lengthOf(tokens), json.file)) => decode(tokens, work) }
}

type Step = Pick<Decoder, 'steps' | 'strip'> & { decode: (tokens: readonly string[], work: Work) => string[] }

const decoders: Record<string, (json: JsonPart) => Step> = {
  Sequence: (json) => {
    const steps = json.at('decoders').items().map(readDecoder)
    return {
      steps,
      decode: (tokens, work) => steps.reduce((now: string[], step) => step.decode(now, work), [...tokens]),
    }
  },
  ByteLevel: () => ({ decode: (tokens) => [lossy(tokens)] }),
  ByteFallback: () => ({ decode: byteFallback }),
  Fuse: () => ({ decode: (tokens) => [tokens.join('')] }),
  Replace: (json) => {
    const matches = readPattern(json.at('pattern'))
    const content = json.at('content').text()
    return { decode: (tokens, work) => tokens.map((token) => replaced(token, matches(token, work), content, work)) }
  },
  Strip: (json) => {
    const content = json.at('content').text()
    const start = json.at('start').count()
    const stop = json.at('stop').count()
    return {
      strip: { content, start },
      decode: (tokens) => tokens.map((token) => stripped(token, content, start, stop)),
    }
  },
  Metaspace: (json) => {
    const marker = json.at('replacement').text()
    const never =
      json.optional('prepend_scheme')?.text() === 'never' || json.optional('add_prefix_space')?.flag() === false
    return { decode: (tokens) => tokens.map((token, i) => token.replaceAll(marker, i === 0 && !never ? '' : ' ')) }
  },
  WordPiece: (json) => {
    const prefix = json.at('prefix').text()
    const cleanup = json.at('cleanup').flag()
    const glued = (token: string) => (token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`)
    return {
      decode: (tokens) =>
        tokens.map((token, i) => (i === 0 ? token : glued(token))).map((text) => (cleanup ? cleanedPiece(text) : text)),
    }
  },
  BPEDecoder: (json) => {
    const suffix = json.at('suffix').text()
    return {
      decode: (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' ')),
    }
  },
  CTC: (json) => {
    const pad = json.at('pad_token').text()
    const delimiter = json.at('word_delimiter_token').text()
    const cleanup = json.at('cleanup').flag()
    const clean = (text: string) => (cleanup ? cleanedPiece(text).replaceAll(delimiter, ' ') : text)
    return {
      decode: (tokens) =>
        tokens
          .filter((token, i) => token !== tokens[i - 1])
          .map((token) => clean(token.replaceAll(pad, '')))
          .filter(Boolean),
    }
  },
}

/** Bytes of a byte-level token; a token with a character outside the byte alphabet stands for its own UTF-8. */
export const byteLevelBytes = (token: string): Uint8Array => {
  const bytes = new Uint8Array(3 * token.length)
  return bytes.subarray(0, putBytes(bytes, 0, token))
}

/** The byte of a token such as <0x0A>; undefined for any other. */
export const fallbackByte = (token: string): number | undefined =>
  /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : undefined

/** All bytes together read as UTF-8, with U+FFFD for invalid parts. */
const lossy = (tokens: readonly string[]): string => {
  const bytes = new Uint8Array(3 * tokens.reduce((sum, token) => sum + token.length, 0))
  let length = 0
  for (const token of tokens) length = putBytes(bytes, length, token)
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, length))
}

/** Writes a token's bytes at a position; returns the position after them. */
const putBytes = (bytes: Uint8Array, from: number, token: string): number => {
  let at = from
  for (let i = 0; i < token.length; i++) {
    const unit = token.charCodeAt(i)
    const byte = unit < byteOfUnit.length ? byteOfUnit[unit] : -1
    if (byte < 0) {
      const written = utf8(token)
      bytes.set(written, from)
      return from + written.length
    }
    bytes[at++] = byte
  }
  return at
}

/** The byte that a character of the byte alphabet stands for, by its code; -1 for the others. */
const byteOfUnit = (() => {
  const table = new Int16Array(0x180).fill(-1)
  for (const [char, byte] of alphabetBytes) table[char.charCodeAt(0)] = byte
  return table
})()

/** A run of byte tokens becomes text if it is valid UTF-8 as a whole, else one U+FFFD for each byte. */
const byteFallback = (tokens: readonly string[]): string[] => {
  const out: string[] = []
  let run: number[] = []
  const flush = () => {
    if (!run.length) return
    const text = utf8Text(run)
    if (text !== undefined) out.push(text)
    else for (const _ of run) out.push('\ufffd')
    run = []
  }
  for (const token of tokens) {
    const byte = fallbackByte(token)
    if (byte !== undefined) run.push(byte)
    else {
      flush()
      out.push(token)
    }
  }
  flush()
  return out
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf8Text = (bytes: number[]): string | undefined => {
  try {
    return strict.decode(Uint8Array.from(bytes))
  } catch {
    return undefined
  }
}

const replaced = (token: string, matches: number[], content: string, work: Work): string => {
  if (!matches.length) return token
  work.write(token.length + (matches.length / 2) * content.length)
  let out = ''
  let done = 0
  for (let m = 0; m < matches.length; m += 2) {
    out += token.slice(done, matches[m]) + content
    done = matches[m + 1]
  }
  return out + token.slice(done)
}

const stripped = (token: string, content: string, start: number, stop: number): string => {
  if (!content) return token
  let [from, to] = [0, token.length]
  for (let n = 0; n < start && token.startsWith(content, from) && from < to; n++) from += content.length
  for (let n = 0; n < stop && token.endsWith(content) && to > from; n++) to -= content.length
  return token.slice(from, to)
}

const patterns = [' .', ' ?', ' !', ' ,', " ' ", " n't", " 'm", " 's", " 've", " 're"]
/** The clean-up inside decoders has one more rule, between " 'm" and " 's". */
const piecePatterns = patterns.toSpliced(patterns.indexOf(" 's"), 0, ' do not')

const contraction = (pattern: string) => (pattern === " ' " ? "'" : pattern === ' do not' ? " don't" : pattern.slice(1))

const cleaned = (text: string, wanted: readonly string[]): string =>
  wanted.reduce((now, pattern) => (now.includes(pattern) ? now.replaceAll(pattern, contraction(pattern)) : now), text)

/** clean_up_tokenization_spaces: removes the spaces before English punctuation and contractions. */
export const cleanedText = (text: string): string => cleaned(text, patterns)

const cleanedPiece = (text: string): string => (/ [.?!,'nd]/.test(text) ? cleaned(text, piecePatterns) : text)

/**
 * The bytes that a token of the vocabulary stands for inside a text, with the space before its word. They may be only a
 * part of a character.
 */
export const tokenBytes = (decoder: Decoder | undefined): ((token: string) => Uint8Array) => {
  const steps = decoder ? (decoder.steps ?? [decoder]) : []
  if (steps.some(({ type }) => type === 'ByteLevel')) return byteLevelBytes
  const fallback = steps.findIndex(({ type }) => type === 'ByteFallback')
  const decodeToken = fallback < 0 ? decodedAfterAnother(decoder) : decodedBy(steps.slice(0, fallback))
  return (token) => {
    const byte = fallback < 0 ? undefined : fallbackByte(token)
    return byte === undefined ? utf8(decodeToken(token)) : Uint8Array.of(byte)
  }
}

const decodedBy = (steps: readonly Decoder[]) => (token: string) => {
  const work = workFor(token.length)
  return steps.reduce((now: string[], step) => step.decode(now, work), [token]).join('')
}

/** For decoders that treat the first token in another way: what a token adds to one before it. */
const decodedAfterAnother = (decoder: Decoder | undefined) => {
  if (!decoder) return (token: string) => token
  return (token: string) =>
    decoder
      .decode(['a', token])
      .join('')
      .slice(decoder.decode(['a']).join('').length)
}
