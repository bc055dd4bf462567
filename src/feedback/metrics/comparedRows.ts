/** Rows of a completion and what it is compared with: {"completion", "reference"} or {"completion", "references"}. */
import { z } from 'zod'
import { conform, type RecordLocation, recordOf, rowFault } from '../../data/check.ts'
import { dataFiles, openRecords, type ResolveDataset } from '../../data/input.node.ts'
import { contentText } from '../../data/messages.ts'
import { isIds, isMessages, type Text, textColumn } from '../../data/rows.ts'
import type { Where } from '../../util/fault.ts'

export type Compared = {
  /** Text, or token ids. */
  completion: string | number[]
  /** At least one. */
  references: (string | number[])[]
  where: Where
}

type Columns = Record<string, unknown>

const one = z.object({ completion: textColumn, reference: textColumn })
const several = z.object({
  completion: textColumn,
  references: z.array(textColumn).min(1, 'must name a reference, or several'),
})

/** The text of a message, or of several, line by line. */
const plain = (text: Text): string | number[] => (isMessages(text) ? text.map(contentText).join('\n') : text)

/**
 * The rows of files, one after another.
 * @param columns what the files call the columns completion, reference and references
 * @param ids whether token ids may stand for a text
 * @throws Fault with the row's place
 */
export async function* comparedRows(
  files: string[],
  { columns = {}, ids, resolve }: { columns?: Record<string, string>; ids: boolean; resolve?: ResolveDataset },
): AsyncGenerator<Compared> {
  for (const file of await dataFiles(files, resolve)) {
    const { layout, batches } = await openRecords(file, { columns })
    for await (const batch of batches)
      for (const { value, row, line } of batch) {
        const location = { file, layout, row, line }
        const read = comparedRow(recordOf(value, location), columns, location)
        for (const text of [read.completion, ...read.references])
          if (isIds(text) && !ids)
            throw rowFault('wrong-type', 'holds token ids; this metric compares words and needs texts', location)
        yield { ...read, where: { file, row, line } }
      }
  }
}

const comparedRow = (given: Columns, columns: Record<string, string>, location: RecordLocation) => {
  const names = Object.entries(columns)
  for (const [name, column] of names)
    if (!(column in given))
      throw rowFault('missing-column', `is not there (--column ${name}=${column})`, location, column)
  const record = { ...given, ...Object.fromEntries(names.map(([name, column]) => [name, given[column]])) }
  if (record.references === undefined || record.references === null) {
    const { completion, reference } = conform(one, record, location)
    return { completion: plain(completion), references: [plain(reference)] }
  }
  const { completion, references } = conform(several, record, location)
  return { completion: plain(completion), references: references.map(plain) }
}
