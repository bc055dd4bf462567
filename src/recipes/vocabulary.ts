/**
 * Token ids meet the model's embeddings here, before the first step: an id past the last row would fail inside the
 * engine, or read another token's numbers. Peculiar: a tokenizer may know more tokens than the model as long as no row
 * uses them (a padding token that was added and never trained), so then every row is looked at.
 */
import type { ExampleStream } from '../train/stream.ts'
import { badInput } from '../util/fault.ts'
import type { SessionParts } from './session.ts'

type Parts<E extends object> = Pick<SessionParts<E>, 'policy' | 'encoder' | 'ids'> & {
  examples: Pick<SessionParts<E>['examples'], 'train' | 'eval' | 'largestIds'>
}

/** Throws Faults 'bad-id' (rows of ids, with the row) and 'bad-tokenizer' (texts). */
export const requireVocabulary = async <E extends object>({ policy, examples, encoder, ids }: Parts<E>) => {
  const size = policy.model.config.vocab_size
  for (const { id, where } of examples.largestIds)
    if (id >= size)
      throw badInput(
        'bad-id',
        `holds the token id ${id}, but the model's ids end at ${size - 1}; give the ids of its own tokenizer`,
        where,
      )
  if (encoder.size <= size) return
  for await (const example of firstEpochs([examples.train, examples.eval])) {
    const stray = ids(example)
      .flat()
      .find((id) => id >= size)
    if (stray !== undefined)
      throw badInput(
        'bad-tokenizer',
        `its tokenizer gives the id ${stray}, but the model's ids end at ${size - 1}; the tokenizer is another model's`,
        { file: policy.dir },
      )
  }
}

async function* firstEpochs<E>(streams: readonly (ExampleStream<E> | undefined)[]): AsyncGenerator<E> {
  for (const stream of streams)
    for (let position = 0; stream && position < stream.length; ) {
      const taken = await stream.take(position, 64)
      if (taken.position === position) break
      position = taken.position
      yield* taken.examples
    }
}
