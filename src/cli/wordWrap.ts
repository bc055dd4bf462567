/** Breaks a text that comes in pieces into lines between words, so that a terminal breaks none of them in the middle. */

export type WordWrap = {
  /** What can be printed now: all but the last word, which may go on in the next piece. */
  add(piece: string): string
  /** The last word. */
  end(): string
}

/** @param columns that a line may take; asked for each word, since a window may change */
export const makeWordWrap = (columns: () => number): WordWrap => {
  /** The column after what was printed, and what was not printed yet: spaces, and the word behind them. */
  let column = 0
  let spaces = ''
  let word = ''
  const flush = (): string => {
    const breaks = word !== '' && spaces !== '' && column + spaces.length + word.length > columns()
    const printed = (breaks ? '\n' : spaces) + word
    column = breaks ? word.length : column + printed.length
    spaces = ''
    word = ''
    return printed
  }
  const put = (character: string): string => {
    if (character === '\n') {
      const printed = `${flush()}\n`
      column = 0
      return printed
    }
    if (character !== ' ') {
      word += character
      return ''
    }
    const printed = word ? flush() : ''
    spaces += ' '
    return printed
  }
  return { add: (piece) => [...piece].map(put).join(''), end: flush }
}
