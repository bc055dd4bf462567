/**
 * A queue of pieces of completions for one reader, who may be slower than the model. Waiting pieces of one sequence are
 * joined into one, so what waits is never more than the completions themselves.
 */
import type { Piece } from './sequence.ts'

export type PieceQueue = {
  put(piece: Piece): void
  /** The reader gets what waits and then the end; after a failure, its error at once. */
  close(failure?: { error: unknown }): void
  /** Completions that have ended and wait to be taken. */
  ended(): number
  /** The next piece; undefined at the end. Throws the error that the queue was closed with. */
  take(): Promise<Piece | undefined>
}

/** @param onTake called each time a piece is taken */
export const makePieceQueue = (onTake: () => void = () => {}): PieceQueue => {
  const waiting = new Map<string, Piece>()
  let ended = 0
  let closed: { failure?: { error: unknown } } | undefined
  let wake = () => {}
  const first = () => {
    const [entry] = waiting
    if (!entry) return undefined
    waiting.delete(entry[0])
    if (entry[1].finishReason) ended--
    onTake()
    return entry[1]
  }
  return {
    put(piece) {
      const key = `${piece.row} ${piece.sample}`
      const before = waiting.get(key)
      waiting.set(key, before ? joined(before, piece) : piece)
      if (piece.finishReason) ended++
      wake()
    },
    close(failure) {
      closed ??= { failure }
      if (failure) waiting.clear()
      wake()
    },
    ended: () => ended,
    async take() {
      while (!closed && waiting.size === 0)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      if (closed?.failure) throw closed.failure.error
      return first()
    },
  }
}

const joined = (a: Piece, b: Piece): Piece => {
  a.ids.push(...b.ids)
  a.logps.push(...b.logps)
  a.tops?.push(...(b.tops ?? []))
  return { ...b, ids: a.ids, logps: a.logps, ...(a.tops && { tops: a.tops }), text: a.text + b.text }
}
