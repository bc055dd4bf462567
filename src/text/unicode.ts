/** Character classes as Rust and Python define them; those of JavaScript (\s, \w) differ. */

/** Unicode White_Space: JavaScript's \s lacks U+0085 and has U+FEFF. */
export const isWhiteSpace = (char: string): boolean => {
  const unit = char.charCodeAt(0)
  return unit < 0x80 ? unit === 0x20 || (unit >= 9 && unit <= 13) : /^\p{White_Space}$/u.test(char)
}

export const isPunctuation = (char: string): boolean => /^[!-/:-@[-`{-~\p{P}]$/u.test(char)

export const isNumeric = (char: string): boolean => /^\p{N}$/u.test(char)

/** The text with each unpaired surrogate replaced by U+FFFD, as every encoder to UTF-8 does. */
export const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd')

/** The character that byte-level BPE writes for each byte: printable Latin-1 as itself, the rest from U+0100 on. */
export const byteAlphabet: readonly string[] = (() => {
  let next = 0x100
  const printable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++))
})()

/** The byte of each character of the byte alphabet. */
export const alphabetBytes: ReadonlyMap<string, number> = new Map(byteAlphabet.map((char, byte) => [char, byte]))

const encoder = new TextEncoder()
export const utf8 = (text: string): Uint8Array => encoder.encode(text)
