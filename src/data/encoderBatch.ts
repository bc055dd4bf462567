/**
 * Packs texts for an encoder into the rows of one batch. Short texts share a row without attending to each other. Tokens that an
 * attention mask hides are left out, and the others keep their places.
 */
import { type PackedBatch, rowsOf } from './batch.ts'

export type EncoderText = {
  ids: ArrayLike<number>
  /** Rows of the table of positions, as the encoder counts them. */
  positions: ArrayLike<number>
  /** 0 where a token is hidden. */
  mask?: ArrayLike<number>
  /** Kinds of tokens. */
  types?: ArrayLike<number>
  /** Tokens whose hidden states are read; all that are not hidden, when absent. */
  targets?: readonly number[]
}

/** Token ids of a text, with an attention mask and kinds of tokens where it has them. */
export type EncoderInput = Pick<EncoderText, 'ids' | 'mask' | 'types'>

/** Targets are in the order of the texts; their sequence is the text. */
export const packTexts = (texts: readonly EncoderText[]): PackedBatch => {
  const { B, T, start } = rowsOf(texts.map(({ ids }) => ids.length))
  const token = {
    ids: [] as number[],
    positions: [] as number[],
    places: [] as number[],
    groups: [] as number[],
    segments: [] as number[],
    types: [] as number[],
  }
  const target = { index: [] as number[], label: [] as number[], sequence: [] as number[] }
  texts.forEach(({ ids, positions, mask, types, targets }, g) => {
    const { row, column } = start.get(g)!
    const index = new Map<number, number>()
    for (let t = 0; t < ids.length; t++) {
      if (mask?.[t] === 0) continue
      index.set(t, token.ids.push(ids[t]) - 1)
      token.positions.push(positions[t])
      token.places.push(row * T + column + t)
      token.groups.push(g)
      token.segments.push(0)
      token.types.push(types?.[t] ?? 0)
    }
    for (const t of targets ?? index.keys()) {
      target.index.push(index.get(t)!)
      target.label.push(0)
      target.sequence.push(g)
    }
  })
  return { B, T, ...token, targets: target }
}
