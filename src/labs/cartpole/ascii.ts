/** The cart and its pole drawn in characters, to scale if a character is twice as high as wide. */
import { xThreshold } from './env.ts'
import type { State } from './replay.ts'

/** Lines of a drawing. */
export const drawingRows = 12

/** @param columns the width of the track, end to end @returns 12 lines of at most that width */
export const drawPole = ([x, , angle]: State, columns: number): string[] => {
  const perMetre = (columns - 1) / (2 * xThreshold)
  const rows = drawingRows - 2
  const canvas = Array.from({ length: drawingRows }, () => new Array<string>(columns).fill(' '))
  const put = (row: number, column: number, sign: string) => {
    if (column >= 0 && column < columns && canvas[row]) canvas[row][column] = sign
  }
  const middle = (x + xThreshold) * perMetre
  const tall = Math.min(rows, Math.max(2, Math.round((perMetre / 2) * Math.cos(angle))))
  const at = (step: number) => middle + 2 * step * Math.tan(angle)
  for (let step = 1; step <= tall; step++) {
    const lean = Math.round(at(step)) - Math.round(at(step - 1))
    put(rows - step, Math.round(at(step)), step === tall ? 'o' : lean > 0 ? '/' : lean < 0 ? '\\' : '|')
  }
  for (const [i, sign] of [...'[==+==]'].entries()) put(rows, Math.round(middle) - 3 + i, sign)
  for (let column = 0; column < columns; column++) put(rows + 1, column, column % (columns - 1) ? '-' : '|')
  return canvas.map((line) => line.join('').trimEnd())
}
