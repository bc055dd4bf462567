/**
 * Stop strings: ends a text at the first one, and shows neither it nor what follows. A stop string may come over several
 * tokens, so the end of the text that could still become one is held back. Special tokens are not shown, but a stop string
 * may contain them, so it is looked for both in the text with them and in the text without.
 */

export type StopFilter = {
  /** Text that can be shown now, and whether a stop string ended it. `hidden` text is searched but not shown. */
  push(text: string, hidden?: boolean): { text: string; stopped: boolean }
  /** What was held back, at the end. */
  flush(): string
}

/** Text that was not shown yet, in order. */
type Part = { text: string; hidden: boolean }

/** @param stops nonempty strings; the one that begins first ends the text */
export const stopFilter = (stops: readonly string[]): StopFilter => {
  let held: Part[] = []
  const flush = () => {
    const rest = shownOf(held)
    held = []
    return rest
  }
  return {
    push(text, hidden = false) {
      if (text) held.push({ text, hidden })
      if (stops.length === 0) return { text: flush(), stopped: false }
      const [whole, shown] = [held.map((part) => part.text).join(''), shownOf(held)]
      const ends = [firstStop(whole, stops), firstStop(shown, stops)]
      if (ends.some((at) => at >= 0)) {
        // Each is a place in its own text; the one that shows less comes first
        const texts = [shownBefore(held, ends[0]), shown.slice(0, ends[1])].filter((_, i) => ends[i] >= 0)
        held = []
        return { text: texts.reduce((a, b) => (b.length < a.length ? b : a)), stopped: true }
      }
      const back = Math.max(
        heldLength(whole, stops),
        whole.length - placeOf(held, shown.length - heldLength(shown, stops)),
      )
      const free = whole.length - back
      const out = shownBefore(held, free)
      held = after(held, free)
      return { text: out, stopped: false }
    },
    flush,
  }
}

const shownOf = (parts: readonly Part[]) =>
  parts
    .filter(({ hidden }) => !hidden)
    .map(({ text }) => text)
    .join('')

/** Where a stop string begins; -1: there is none. */
const firstStop = (text: string, stops: readonly string[]): number => {
  const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0)
  return found.length ? Math.min(...found) : -1
}

/** What is shown of the first `length` characters, hidden ones counted. */
const shownBefore = (parts: readonly Part[], length: number): string => {
  let out = ''
  let left = length
  for (const { text, hidden } of parts) {
    if (left <= 0) break
    if (!hidden) out += text.slice(0, left)
    left -= text.length
  }
  return out
}

/** What stands behind the first `length` characters. */
const after = (parts: readonly Part[], length: number): Part[] => {
  let left = length
  return parts.flatMap(({ text, hidden }) => {
    const rest = text.slice(Math.max(0, left))
    left -= text.length
    return rest ? [{ text: rest, hidden }] : []
  })
}

/** The place, hidden characters counted, of number `at` of those that are shown; behind all of them the end. */
const placeOf = (parts: readonly Part[], at: number): number => {
  let place = 0
  let left = at
  for (const { text, hidden } of parts) {
    if (!hidden && left < text.length) return place + left
    if (!hidden) left -= text.length
    place += text.length
  }
  return place
}

/** Length of the longest end of the text that begins a stop string. */
const heldLength = (text: string, stops: readonly string[]): number => {
  const longest = Math.max(0, ...stops.map((stop) => stop.length - 1))
  for (let length = Math.min(longest, text.length); length > 0; length--)
    if (stops.some((stop) => stop.startsWith(text.slice(-length)))) return length
  return 0
}
