/**
 * When text ends at a stop string. Peculiar: a stop string may come in pieces, over several tokens, so the end of the
 * text that could still become one is held back; what follows a stop string, and the string itself, is never shown.
 */

export type StopFilter = {
  /** Text that can be shown, and whether a stop string ended it. */
  push(text: string): { text: string; stopped: boolean }
  /** What was held back, at the end. */
  flush(): string
}

/** @param stops texts that are not empty; the first to be completed wins, and of those at one place the longest */
export const stopFilter = (stops: readonly string[]): StopFilter => {
  let held = ''
  return {
    push(text) {
      held += text
      const found = stops.map((stop) => held.indexOf(stop)).filter((at) => at >= 0)
      const stopped = found.length > 0
      const end = stopped ? Math.min(...found) : held.length - heldLength(held, stops)
      const shown = held.slice(0, end)
      held = stopped ? '' : held.slice(end)
      return { text: shown, stopped }
    },
    flush() {
      const rest = held
      held = ''
      return rest
    },
  }
}

/** Length of the longest end of the text that begins a stop string. */
const heldLength = (text: string, stops: readonly string[]): number => {
  const longest = Math.max(0, ...stops.map((stop) => stop.length - 1))
  for (let length = Math.min(longest, text.length); length > 0; length--)
    if (stops.some((stop) => stop.startsWith(text.slice(-length)))) return length
  return 0
}
