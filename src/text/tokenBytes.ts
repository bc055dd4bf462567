/**
 * What a token stands for by itself, inside of a text: its bytes, which may be a part of a character. The space before a
 * word belongs to it.
 */
import type { Decoder } from './decode.ts'
import { fallbackByte, tokenBytes } from './decode.ts'
import { utf8 } from './unicode.ts'
import { workFor } from './work.ts'

/** Bytes of a token of the vocabulary, as it is written there. */
export const bytesOfToken = (decoder: Decoder | undefined): ((token: string) => Uint8Array) => {
  const steps = decoder ? (decoder.steps ?? [decoder]) : []
  if (steps.some(({ type }) => type === 'ByteLevel')) return tokenBytes
  const fallback = steps.findIndex(({ type }) => type === 'ByteFallback')
  const decode = fallback < 0 ? behindAnother(decoder) : alone(steps.slice(0, fallback))
  return (token) => {
    const byte = fallback < 0 ? undefined : fallbackByte(token)
    return byte === undefined ? utf8(decode(token)) : Uint8Array.of(byte)
  }
}

const alone = (steps: readonly Decoder[]) => (token: string) => {
  const work = workFor(token.length)
  return steps.reduce((now: string[], step) => step.decode(now, work), [token]).join('')
}

/** For decoders that treat the first token in another way: what it adds to one before it. */
const behindAnother = (decoder: Decoder | undefined) => {
  if (!decoder) return (token: string) => token
  return (token: string) =>
    decoder
      .decode(['a', token])
      .join('')
      .slice(decoder.decode(['a']).join('').length)
}
