/** Marks on parts of a response: where they lie in its text, though the page shows the text rendered. */
import { diffChars } from 'diff'
import type { Span } from '../../../studio/labels/api.ts'

/** Adds a mark; what it covers of earlier marks on the same response is taken from them. */
export const withSpan = (spans: readonly Span[], added: Span): Span[] =>
  [
    ...spans.flatMap((span) => {
      if (span.response !== added.response || span.end <= added.start || span.start >= added.end) return [span]
      return [
        { ...span, end: added.start },
        { ...span, start: added.end },
      ].filter(({ start, end }) => end > start)
    }),
    added,
  ].sort((a, b) => a.response - b.response || a.start - b.start)

export const withoutSpan = (spans: readonly Span[], removed: Span): Span[] => spans.filter((span) => span !== removed)

/** Without the spaces at its ends; undefined when nothing else is in it. */
export const trimmed = (text: string, start: number, end: number): { start: number; end: number } | undefined => {
  const part = text.slice(start, end)
  const from = start + part.length - part.trimStart().length
  const to = end - (part.length - part.trimEnd().length)
  return to > from ? { start: from, end: to } : undefined
}

/** Runs of characters that two texts share, in order. */
type Run = { source: number; shown: number; length: number }

export type Alignment = {
  /** Where a place of the text on the screen lies in the source. */
  toSource(shown: number, side: 'start' | 'end'): number
  toShown(source: number, side: 'start' | 'end'): number
}

/** Longer texts are aligned by their words, which is coarser and always quick. */
const alignWithin = 500

/**
 * Pairs the text of a response with what is on the screen of it: Markdown shows `**so**` as `so`, and formulas as signs. The
 * two are compared letter by letter; a place in what only one of them has goes to the next shared letter inside.
 */
export const align = (source: string, shown: string): Alignment => {
  const runs = source === shown ? [{ source: 0, shown: 0, length: source.length }] : sharedRuns(source, shown)
  const follow =
    (from: 'source' | 'shown', to: 'source' | 'shown', length: number) => (at: number, side: 'start' | 'end') => {
      if (side === 'start') {
        const run = runs.find((one) => one[from] + one.length > at)
        return run ? run[to] + Math.max(0, at - run[from]) : length
      }
      const run = runs.findLast((one) => one[from] < at)
      return run ? run[to] + Math.min(run.length, at - run[from]) : 0
    }
  return { toSource: follow('shown', 'source', source.length), toShown: follow('source', 'shown', shown.length) }
}

const sharedRuns = (source: string, shown: string): Run[] => {
  const parts = diffChars(source, shown, { timeout: alignWithin }) ?? []
  const runs: Run[] = []
  let at = { source: 0, shown: 0 }
  for (const { value, added, removed } of parts) {
    const { length } = value
    if (!added && !removed) runs.push({ ...at, length })
    at = { source: at.source + (added ? 0 : length), shown: at.shown + (removed ? 0 : length) }
  }
  return runs
}

/** Sentences and lines of a text, for marking without a mouse. */
export const sentencesOf = (text: string): { start: number; end: number }[] => {
  const segments = new Intl.Segmenter(undefined, { granularity: 'sentence' }).segment(text)
  return [...segments].flatMap(({ segment, index }) => trimmed(text, index, index + segment.length) ?? [])
}
