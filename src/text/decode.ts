/** The decoders of tokenizer.json: from a list of tokens to text, one row each, joined at the end. */
import { readPattern } from './pattern.ts'
import type { Shape } from './shape.ts'
import { alphabetBytes, utf8 } from './unicode.ts'

export type Decoder = {
  readonly type: string
  readonly decode: (tokens: readonly string[]) => string[]
  /** Parts of a Sequence, in order. */
  readonly steps?: readonly Decoder[]
  /** Strip: up to `start` leading `content`. */
  readonly strip?: { content: string; start: number }
}

export const readDecoder = (shape: Shape): Decoder => {
  const type = shape.at('type').text()
  const read = Object.hasOwn(decoders, type) ? decoders[type] : undefined
  return read ? { type, ...read(shape) } : shape.fail(`is of the unknown type ${type}`)
}

const decoders: Record<string, (shape: Shape) => Omit<Decoder, 'type'>> = {
  Sequence: (shape) => {
    const steps = shape.at('decoders').items().map(readDecoder)
    return { steps, decode: (tokens) => steps.reduce((now: string[], step) => step.decode(now), [...tokens]) }
  },
  ByteLevel: () => ({ decode: (tokens) => [lossy(tokens.map(tokenBytes))] }),
  ByteFallback: () => ({ decode: byteFallback }),
  Fuse: () => ({ decode: (tokens) => [tokens.join('')] }),
  Replace: (shape) => {
    const [matches, content] = [readPattern(shape.at('pattern')), shape.at('content').text()]
    return { decode: (tokens) => tokens.map((token) => replaced(token, matches(token), content)) }
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
  const bytes: number[] = []
  for (const char of token) {
    const byte = alphabetBytes.get(char)
    if (byte === undefined) return utf8(token)
    bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

/** What <0xNN> stands for. */
export const fallbackByte = (token: string): number | undefined =>
  /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : undefined

const lossy = (parts: Uint8Array[]): string => {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return parts.map((part) => decoder.decode(part, { stream: true })).join('') + decoder.decode()
}

/** A run of byte tokens is text as a whole, or one U+FFFD a byte. */
const byteFallback = (tokens: readonly string[]): string[] => {
  const out: string[] = []
  let run: number[] = []
  const flush = () => {
    if (run.length) out.push(...(utf8Text(run) ?? run.map(() => '\ufffd')))
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

const utf8Text = (bytes: number[]): [string] | undefined => {
  try {
    return [new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))]
  } catch {
    return undefined
  }
}

const replaced = (token: string, matches: number[], content: string): string => {
  let out = ''
  let done = 0
  for (let m = 0; m < matches.length; m += 2) {
    out += token.slice(done, matches[m]) + content
    done = matches[m + 1]
  }
  return out + token.slice(done)
}

const stripped = (token: string, content: string, start: number, stop: number): string => {
  let [from, to] = [0, token.length]
  for (let n = 0; n < start && token.startsWith(content, from) && from < to; n++) from += content.length
  for (let n = 0; n < stop && token.endsWith(content) && to > from; n++) to -= content.length
  return token.slice(from, to)
}

const spaced = [' .', ' ?', ' !', ' ,', " ' ", " n't", " 'm", " 's", " 've", " 're"]

/** The English clean-up of BERT's day (clean_up_tokenization_spaces): spaces before punctuation go. */
export const cleanedText = (text: string): string =>
  spaced.reduce((now, pattern) => now.replaceAll(pattern, pattern === " ' " ? "'" : pattern.slice(1)), text)

/** The decoders' own clean-up knows one rule more, between " 'm" and " 's". */
const cleanedPiece = (text: string): string => {
  const at = spaced.indexOf(" 's")
  const apply = (now: string, patterns: string[]) =>
    patterns.reduce((done, pattern) => done.replaceAll(pattern, pattern === " ' " ? "'" : pattern.slice(1)), now)
  return apply(apply(text, spaced.slice(0, at)).replaceAll(' do not', " don't"), spaced.slice(at))
}
