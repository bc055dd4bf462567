/** The rows of a file, each converted to the input that a command needs, once all of them have been checked. */
import type { OpenedRows } from '../data/openRows.node.ts'
import type { Row } from '../data/rows.ts'
import { surveyRows } from '../recipes/trainer/dataset.ts'
import { type ExampleStream, exampleStream } from '../train/stream.ts'
import type { Reporter } from './reporter.ts'

/**
 * Converts every row before the first is given out, so that a bad row does not end a command that has already printed half of
 * its lines. Throws the Fault of the first bad row, with its place in the file.
 * @param convert  may throw Faults; their place is added here
 */
export const checkedRows = async <E extends object>(
  rows: OpenedRows,
  convert: (row: Row) => E,
  report: Reporter,
): Promise<AsyncGenerator<E>> => {
  const stream = exampleStream<Row, E>({
    length: rows.length,
    row: rows.row,
    where: rows.where,
    order: (position) => position,
    epochs: 1,
    example: convert,
    truncated: () => false,
  })
  for await (const event of surveyRows([stream])) report.show(event)
  return inOrder(stream)
}

async function* inOrder<E>({ length, take }: Pick<ExampleStream<E>, 'length' | 'take'>): AsyncGenerator<E> {
  for (let position = 0; position < length; position++) yield* (await take(position, 1)).examples
}
