/** One line of progress that fits the terminal: what matters least goes first where there is no room. */
import { painter, type Screen, type Style } from './screen.ts'

/** A word or two beside the bar, the most important first; `label` is shown faint. */
export type Part = { label: string; text: string; style?: Style }

const narrow = 8
const wide = 32
const gap = '  '

/** @returns the line, narrower than the screen */
export const barLine = (
  screen: Screen,
  head: string,
  done: number,
  total: number,
  parts: readonly Part[],
  order: readonly Part[] = parts,
): string => {
  const paint = painter(screen)
  let room = screen.columns() - 1 - gap.length - head.length - gap.length - narrow
  const kept = parts.filter((part) => {
    const width = gap.length + widthOf(part)
    if (width > room) return false
    room -= width
    return true
  })
  const bar = drawBar(total > 0 ? done / total : 0, Math.max(narrow, Math.min(wide, narrow + room)), paint)
  const shown = order
    .filter((part) => kept.includes(part))
    .map(({ label, text, style }) => [label && paint('dim', label), style ? paint(style, text) : text].filter(Boolean))
  return [gap + paint('bold', head), bar, ...shown.map((words) => words.join(' '))].join(gap)
}

const widthOf = ({ label, text }: Part) => text.length + (label ? label.length + 1 : 0)

const drawBar = (part: number, width: number, paint: ReturnType<typeof painter>): string => {
  const halves = Math.round(Math.max(0, Math.min(1, part)) * width * 2)
  const done = '━'.repeat(halves >> 1) + (halves % 2 ? '╸' : '')
  return paint('green', done) + paint('dim', '─'.repeat(width - done.length))
}
