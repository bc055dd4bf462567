/** Shares of a whole as bars with their intervals, one below the other, for a terminal. */
import type { Share } from '../statistics/intervals.ts'
import { percent } from '../util/format.ts'
import type { Paint, Style } from './screen.ts'

const widest = 40
const narrowest = 8

/**
 * @param rows from top to bottom   @param width columns that there are
 * @returns lines of name, bar, share and, where there is room, the interval of 95 %
 */
export const shareBars = (
  rows: readonly { name: string; share: Share; style: Style }[],
  width: number,
  paint: Paint,
): string => {
  const nameWidth = Math.max(...rows.map(({ name }) => name.length))
  const intervals = rows.map(({ share: { low, high } }) => `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`)
  const room = width - nameWidth - '  '.length - '  100 %'.length
  const besideBar = '  '.length + Math.max(...intervals.map(({ length }) => length))
  const withIntervals = room - besideBar >= narrowest
  const bar = Math.max(narrowest, Math.min(widest, withIntervals ? room - besideBar : room))
  return rows
    .map(({ name, share: { share }, style }, i) => {
      const filled = Math.round(share * bar)
      return [
        name.padEnd(nameWidth),
        paint(style, '━'.repeat(filled)) + paint('dim', '─'.repeat(bar - filled)),
        percent(share).padStart(5),
        ...(withIntervals ? [paint('dim', intervals[i])] : []),
      ].join('  ')
    })
    .join('\n')
}
