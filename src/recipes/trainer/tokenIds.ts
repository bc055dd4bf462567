/**
 * Token ids meet the model's embeddings here, before the first step: an id past the last row would fail inside the
 * engine, or read another token's numbers. Peculiar: a tokenizer may know more tokens than the model as long as no row
 * uses them (a padding token that was added and never trained).
 */
import type { Encoder } from '../../data/examples.ts'
import type { Row } from '../../data/rows.ts'
import { strayId } from '../../data/tokenIds.ts'
import { badInput } from '../../util/fault.ts'

/** How many ids a model has, and who makes them of texts. */
export type Vocabulary = { vocabulary: number; encoder: Encoder }

/**
 * Throws Faults 'bad-id' where the row itself holds an id that the model has not, and 'bad-tokenizer' where its texts give one.
 * @param ids of what was made of the row
 */
export const requireKnownIds = (
  row: Row,
  ids: readonly (readonly number[])[],
  { vocabulary, encoder }: Vocabulary,
): void => {
  const own = strayId(row, vocabulary)
  if (own !== undefined)
    throw badInput(
      'bad-id',
      `holds the token id ${own}, but the model's ids end at ${vocabulary - 1}; give the ids of its own tokenizer`,
    )
  if (encoder.size <= vocabulary) return
  for (const list of ids) {
    const stray = list.find((id) => id >= vocabulary)
    if (stray !== undefined)
      throw badInput(
        'bad-tokenizer',
        `the tokenizer gives this row the id ${stray}, but the model's ids end at ${vocabulary - 1}; the tokenizer is another model's`,
      )
  }
}
