/**
 * Streaming decoding, token by token. Bytes are held back while they may still become a character, so that half a
 * character is never emitted. For bytes that are not UTF-8, a byte-level tokenizer emits one U+FFFD for each maximal
 * invalid part, one with byte fallback one for each byte.
 */
import type { Decoder } from './decode.ts'
import { byteLevelBytes, fallbackByte } from './decode.ts'
import { workFor } from './work.ts'

export type TextStream = {
  /** The text that this token completes, often empty. */
  push(id: number): string
  /** At the end: the text that is still held back. */
  flush(): string
}

type TokenStream = { push(token: string): string; flush(): string }

/** A stream over tokens as the decoder sees them; undefined tokens (skipped or unknown ids) emit nothing. */
export const textStream = (decoder: Decoder | undefined, written: (id: number) => string | undefined): TextStream => {
  const steps = decoder ? (decoder.steps ?? [decoder]) : []
  const inner = streamOf(steps, decoder)
  return {
    push: (id) => {
      const token = written(id)
      return token === undefined ? '' : inner.push(token)
    },
    flush: inner.flush,
  }
}

const streamOf = (steps: readonly Decoder[], decoder: Decoder | undefined): TokenStream => {
  if (steps.length === 1 && steps[0].type === 'ByteLevel') return byteLevelStream()
  const fallback = steps.findIndex((step) => step.type === 'ByteFallback')
  if (fallback >= 0)
    return fallbackStream(steps.slice(0, fallback), steps.slice(fallback + 1).find((step) => step.strip)?.strip)
  return windowStream((tokens) => (decoder ? decoder.decode(tokens).join('') : tokens.join(' ')))
}

const byteLevelStream = (): TokenStream => {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return { push: (token) => decoder.decode(byteLevelBytes(token), { stream: true }), flush: () => decoder.decode() }
}

const fallbackStream = (before: readonly Decoder[], strip: Decoder['strip']): TokenStream => {
  let pending: number[] = []
  let bad = false
  let toStrip = strip?.start ?? 0
  const lead = (text: string): string => {
    for (; strip && toStrip > 0 && text; toStrip--) {
      if (!text.startsWith(strip.content)) toStrip = 1
      else text = text.slice(strip.content.length)
    }
    return text
  }
  const endRun = (): string => {
    const text = '\ufffd'.repeat(pending.length)
    pending = []
    bad = false
    return text
  }
  const pushByte = (byte: number): string => {
    pending.push(byte)
    const text = bad ? undefined : completed(pending)
    if (text === '') return ''
    bad ||= text === undefined
    const emitted = text ?? '\ufffd'.repeat(pending.length)
    pending = []
    return lead(emitted)
  }
  return {
    push: (token) => {
      const byte = fallbackByte(token)
      if (byte !== undefined) return pushByte(byte)
      const work = workFor(token.length)
      const text = before.reduce((now: string[], step) => step.decode(now, work), [token]).join('')
      return lead(endRun() + text)
    },
    flush: () => lead(endRun()),
  }
}

/** The character that the bytes encode, '' while more bytes may complete one, undefined when none can. */
const completed = (bytes: readonly number[]): string | undefined => {
  const [lead, second] = bytes
  const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0
  if (length === 0) return undefined
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  if (second < lowest || second > highest) return undefined
  if (bytes.slice(2).some((byte) => byte >> 6 !== 2)) return undefined
  if (bytes.length < length) return ''
  const first = length === 1 ? lead : lead & (0xff >> (length + 1))
  return String.fromCodePoint(bytes.slice(1).reduce((point, byte) => (point << 6) | (byte & 0x3f), first))
}

/** For decoders whose text for a token depends on the token before it alone: what it adds to that token's text. */
const windowStream = (decode: (tokens: readonly string[]) => string): TokenStream => {
  let before: string | undefined
  return {
    push: (token) => {
      const text = before === undefined ? decode([token]) : decode([before, token]).slice(decode([before]).length)
      before = token
      return text
    },
    flush: () => '',
  }
}
