/** A progress bar with numbers beside it, on one line of the terminal. Where there is no room, the least important go. */
import { type Paint, painter, type Screen, type Style } from './screen.ts'

/** A number beside the bar. `label` is printed faint before it, and may be empty. */
export type BarItem = { label: string; text: string; style?: Style }

const narrowest = 8
const widest = 32
const gap = '  '

/**
 * @param items  the most important first   @param order  the same items as they stand on the line, if not in that order
 * @returns a line narrower than the screen
 */
export const progressBar = (
  screen: Screen,
  {
    head,
    done,
    total,
    items,
    order = items,
  }: { head: string; done: number; total: number; items: readonly BarItem[]; order?: readonly BarItem[] },
): string => {
  const paint = painter(screen)
  let room = screen.columns() - 1 - gap.length - head.length - gap.length - narrowest
  const kept = items.filter((item) => {
    const width = gap.length + widthOf(item)
    if (width > room) return false
    room -= width
    return true
  })
  const width = Math.max(narrowest, Math.min(widest, narrowest + room))
  const bar = drawBar(total > 0 ? done / total : 0, width, paint)
  const shown = order
    .filter((item) => kept.includes(item))
    .map(({ label, text, style }) =>
      [label && paint('dim', label), style ? paint(style, text) : text].filter(Boolean).join(' '),
    )
  return [gap + paint('bold', head), bar, ...shown].join(gap)
}

const widthOf = ({ label, text }: BarItem) => text.length + (label ? label.length + 1 : 0)

const drawBar = (fraction: number, width: number, paint: Paint): string => {
  const halves = Math.round(Math.max(0, Math.min(1, fraction)) * width * 2)
  const done = '━'.repeat(halves >> 1) + (halves % 2 ? '╸' : '')
  return paint('green', done) + paint('dim', '─'.repeat(width - done.length))
}
