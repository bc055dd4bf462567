/**
 * A limit on the work that a tokenizer may do with one text. A tokenizer.json can ask for anything (ten nested
 * replacements of one character by ten make 10^10 characters), so every step announces what it is about to write or
 * try, and a text that would take far more than any real tokenizer needs is refused before memory and time are spent.
 */
import { badInput } from '../util/fault.ts'

export type Work = {
  /** Called before `characters` are written. */
  write(characters: number): void
  /** Steps that a pattern may still take. */
  patternSteps: number
}

/** Real pipelines write 1 to 20 characters for each of the text. */
const perCharacter = 256
const atLeast = 2 ** 20
const stepsPerCharacter = 500

/** @param file named in the refusal */
export const workFor = (length: number, file?: string): Work => {
  let left = perCharacter * length + atLeast
  return {
    write: (characters) => {
      left -= characters
      if (left < 0) throw tooMuch(length, file)
    },
    patternSteps: stepsPerCharacter * (length + 2000),
  }
}

const tooMuch = (length: number, file?: string) =>
  badInput(
    'tokenizer-limit',
    `its steps make more than ${perCharacter} times a text of ${length} characters; mend the normalizer, pre_tokenizer or decoder`,
    { file: file ?? 'the tokenizer' },
  )

export const lengthOf = (tokens: readonly string[]): number => tokens.reduce((sum, token) => sum + token.length, 0)
