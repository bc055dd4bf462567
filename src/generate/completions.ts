/** Whole completions, joined from the pieces in which they are decoded. */
import type { FinishReason, Piece } from './sequence.ts'

/** A whole completion. */
export type Completion = Piece & {
  /** Why it ended: an end token, a stop text, or its length. */
  finishReason: FinishReason
}

/** Pieces joined to whole completions, each as soon as it has ended. */
export async function* completions(pieces: AsyncIterable<Piece>): AsyncGenerator<Completion> {
  const open = new Map<string, Piece>()
  for await (const { row, sample, ids, logps, text, finishReason } of pieces) {
    const key = `${row} ${sample}`
    const whole = open.get(key) ?? { row, sample, ids: [], logps: [], text: '' }
    open.set(key, whole)
    whole.ids.push(...ids)
    whole.logps.push(...logps)
    whole.text += text
    if (finishReason === undefined) continue
    open.delete(key)
    yield { ...whole, finishReason }
  }
}
