/** The decoders of tokenizer.json: from a list of tokens to text, one row each, joined at the end. */
import { readPattern } from './pattern.ts'
import type { Shape } from './shape.ts'
import { alphabetBytes, utf8 } from './unicode.ts'
import type { Work } from './work.ts'
import { lengthOf, workFor } from './work.ts'

export type Decoder = {
  readonly type: string
  /** `work` bounds what a pipeline of steps may write; by default it is one for these tokens. */
  readonly decode: (tokens: readonly string[], work?: Work) => string[]
  /** Parts of a Sequence, in order. */
  readonly steps?: readonly Decoder[]
  /** Strip: up to `start` leading `content`. */
  readonly strip?: { content: string; start: number }
}

export const readDecoder = (shape: Shape): Decoder => {
  const type = shape.at('type').text()
  const read = Object.hasOwn(decoders, type) ? decoders[type] : undefined
  if (!read) return shape.fail(`is of the unknown type ${type}`)
  const { decode, ...more } = read(shape)
  return { type, ...more, decode: (tokens, work = workFor(lengthOf(tokens), shape.file)) => decode(tokens, work) }
}

type Step = Pick<Decoder, 'steps' | 'strip'> & { decode: (tokens: readonly string[], work: Work) => string[] }

const decoders: Record<string, (shape: Shape) => Step> = {
  Sequence: (shape) => {
    const steps = shape.at('decoders').items().map(readDecoder)
    return {
      steps,
      decode: (tokens, work) => steps.reduce((now: string[], step) => step.decode(now, work), [...tokens]),
    }
  },
  ByteLevel: () => ({ decode: (tokens) => [lossy(tokens)] }),
  ByteFallback: () => ({ decode: byteFallback }),
  Fuse: () => ({ decode: (tokens) => [tokens.join('')] }),
  Replace: (shape) => {
    const [matches, content] = [readPattern(shape.at('pattern')), shape.at('content').text()]
    return { decode: (tokens, work) => tokens.map((token) => replaced(token, matches(token, work), content, work)) }
  },
  Strip: (shape) => {
    const [content, start, stop] = [shape.at('content').text(), shape.at('start').count(), shape.at('stop').count()]
    return {
      strip: { content, start },
      decode: (tokens) => tokens.map((token) => stripped(token, content, start, stop)),
    }
  },
  Metaspace: (shape) => {
    const marker = shape.at('replacement').text()
    const never =
      shape.optional('prepend_scheme')?.text() === 'never' || shape.optional('add_prefix_space')?.flag() === false
    return { decode: (tokens) => tokens.map((token, i) => token.replaceAll(marker, i === 0 && !never ? '' : ' ')) }
  },
  WordPiece: (shape) => {
    const [prefix, cleanup] = [shape.at('prefix').text(), shape.at('cleanup').flag()]
    const glued = (token: string) => (token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`)
    return {
      decode: (tokens) =>
        tokens.map((token, i) => (i === 0 ? token : glued(token))).map((text) => (cleanup ? cleanedPiece(text) : text)),
    }
  },
  BPEDecoder: (shape) => {
    const suffix = shape.at('suffix').text()
    return {
      decode: (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' ')),
    }
  },
  CTC: (shape) => {
    const [pad, delimiter] = [shape.at('pad_token').text(), shape.at('word_delimiter_token').text()]
    const cleanup = shape.at('cleanup').flag()
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

/** Bytes of a byte-level token; one with a character outside the alphabet is taken as it is written. */
export const tokenBytes = (token: string): Uint8Array => {
  const bytes = new Uint8Array(3 * token.length)
  return bytes.subarray(0, putBytes(bytes, 0, token))
}

/** What <0xNN> stands for. */
export const fallbackByte = (token: string): number | undefined =>
  /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : undefined

/** All bytes together are read as UTF-8, what is none as U+FFFD. */
const lossy = (tokens: readonly string[]): string => {
  const bytes = new Uint8Array(3 * tokens.reduce((sum, token) => sum + token.length, 0))
  let length = 0
  for (const token of tokens) length = putBytes(bytes, length, token)
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, length))
}

/** Writes a token's bytes at a place; returns the place behind them. */
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

/** A run of byte tokens is text as a whole, or one U+FFFD a byte. */
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
/** The decoders' own clean-up knows one rule more, between " 'm" and " 's". */
const piecePatterns = patterns.toSpliced(patterns.indexOf(" 's"), 0, ' do not')

const contraction = (pattern: string) => (pattern === " ' " ? "'" : pattern === ' do not' ? " don't" : pattern.slice(1))

const cleaned = (text: string, wanted: readonly string[]): string =>
  wanted.reduce((now, pattern) => (now.includes(pattern) ? now.replaceAll(pattern, contraction(pattern)) : now), text)

/** The English clean-up of BERT's day (clean_up_tokenization_spaces): spaces before punctuation go. */
export const cleanedText = (text: string): string => cleaned(text, patterns)

const cleanedPiece = (text: string): string => (/ [.?!,'nd]/.test(text) ? cleaned(text, piecePatterns) : text)
