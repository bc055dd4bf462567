/**
 * The rows of a command as what it makes of them. Peculiar: all are made once before the first is handed on, so that no row
 * ends a command that has printed half of its lines.
 */

import type { OpenedRows } from '../data/openRows.node.ts'
import type { Row } from '../data/rows.ts'
import { surveyRows } from '../recipes/trainer/dataset.ts'
import { type ExampleStream, exampleStream } from '../train/stream.ts'
import type { Reporter } from './terminal.ts'

/** Throws the Fault of the first row that has one, with its place. @param make throws Faults without a place */
export const prepareRows = async <E extends object>(
  rows: OpenedRows,
  make: (row: Row) => E,
  report: Reporter,
): Promise<AsyncGenerator<E>> => {
  const stream = exampleStream<Row, E>({
    ...{ length: rows.length, row: rows.row, where: rows.where, epochs: 1, order: (position) => position },
    example: make,
    truncated: () => false,
  })
  for await (const event of surveyRows([stream])) report.show(event)
  return inTurn(stream)
}

async function* inTurn<E>({ length, take }: Pick<ExampleStream<E>, 'length' | 'take'>): AsyncGenerator<E> {
  for (let position = 0; position < length; position++) yield* (await take(position, 1)).examples
}
