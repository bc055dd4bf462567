/** The cart and its pole drawn in characters, to scale if a character is twice as high as wide. */
import { xThreshold } from './env.ts'
import type { State } from './replay.ts'

/** Lines of a drawing: the pole, then the cart, then the track. */
export const drawingRows = 12
const trackRow = drawingRows - 1
const cartRow = drawingRows - 2

/** @param columns the width of the track, end to end   @returns 12 lines of at most that width */
export const drawPole = ([x, , angle]: State, columns: number): string[] => {
  const columnsPerMetre = (columns - 1) / (2 * xThreshold)
  const canvas = Array.from({ length: drawingRows }, () => new Array<string>(columns).fill(' '))
  const put = (row: number, column: number, character: string) => {
    if (column >= 0 && column < columns) canvas[row][column] = character
  }
  const cartColumn = (x + xThreshold) * columnsPerMetre
  // The pole is one metre long
  const poleRows = Math.min(cartRow, Math.max(2, Math.round((columnsPerMetre / 2) * Math.cos(angle))))
  const poleColumn = (height: number) => Math.round(cartColumn + 2 * height * Math.tan(angle))
  for (let height = 1; height <= poleRows; height++) {
    const lean = poleColumn(height) - poleColumn(height - 1)
    const piece = lean > 0 ? '/' : lean < 0 ? '\\' : '|'
    put(cartRow - height, poleColumn(height), height === poleRows ? 'o' : piece)
  }
  for (const [i, character] of [...'[==+==]'].entries()) put(cartRow, Math.round(cartColumn) - 3 + i, character)
  for (let column = 0; column < columns; column++) put(trackRow, column, column % (columns - 1) ? '-' : '|')
  return canvas.map((line) => line.join('').trimEnd())
}
