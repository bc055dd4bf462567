/** Reads the column `label` of a file's records, by a rule or by what the labels say themselves. */
import { quoted } from '../util/quote.ts'
import { type RecordLocation, rowFault } from './check.ts'
import { isIssue } from './issue.ts'
import { countLabel, type LabelCounts, type LabelRule, labelWord, readLabel } from './labelRule.ts'

type Columns = Record<string, unknown>

export type LabelReader = {
  /** A label that says true or false by the rule or by its word, as such; another is left as it is. */
  read(record: Columns): Columns
  /**
   * @param given the label as the file has it
   * @throws Fault for a label that neither the rule nor its word makes true or false, and for a word among true and false
   */
  checked(record: Columns, given: unknown, location: RecordLocation): Columns
  count(given: unknown, label: boolean): void
  /** How often each label was read as good or bad. */
  counts(): LabelCounts
}

export const labelReader = (rule: LabelRule | undefined): LabelReader => {
  const counts: LabelCounts = {}
  let hasBooleans = false
  return {
    read(record) {
      const { label } = record
      if (label === undefined || label === null || (!rule && typeof label !== 'string')) return record
      const read = rule ? rule.of(label) : labelWord(label)
      return read === undefined ? record : { ...record, label: read }
    },
    checked(record, given, location) {
      hasBooleans ||= !rule && typeof given === 'boolean'
      if (hasBooleans && typeof given === 'string')
        throw rowFault(
          'wrong-type',
          `is ${quoted(given, 40)}, but labels before it are true and false; spell all labels alike`,
          location,
          'label',
        )
      const { label } = record
      if (label === undefined || label === null) return record
      const isRead = typeof label === 'boolean' && !(rule && typeof given === 'boolean' && rule.of(given) === undefined)
      if (isRead) return record
      const read = readLabel(label, rule)
      if (isIssue(read)) throw rowFault(read.issue, read.message, location, 'label')
      return record
    },
    count: (given, label) => countLabel(counts, given, label),
    counts: () => counts,
  }
}
