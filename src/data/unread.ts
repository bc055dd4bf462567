/**
 * Columns that attune does not read although other programs learn something from them. Rows with images or sound are
 * refused, since their text alone would mean something else; the other columns are counted, for one warning.
 */
import { type RecordLocation, rowFault } from './check.ts'
import type { Message } from './messages.ts'
import { isMessages, type Row, type Text } from './rows.ts'

const media = ['image', 'images', 'video', 'videos', 'audio', 'audios']

/** What each of these columns means to other programs. */
export const unreadColumns: Readonly<Record<string, string>> = {
  weight: 'every row counts the same',
  sample_weight: 'every row counts the same',
  system: 'write it as the first message, with the role system',
  chat_template: "conversations are rendered by the model's own",
  completion_mask: 'the completion counts, or with ids what "labels" say',
  assistant_masks: '--assistant-only-loss counts what the chat template marks',
  ref_chosen_logps: 'the reference is computed',
  ref_rejected_logps: 'the reference is computed',
  functions: 'only conversations are rendered by the chat template, and these rows are none',
  tools: 'only conversations are rendered by the chat template, and these rows are none',
  chat_template_kwargs: 'only conversations are rendered by the chat template, and these rows are none',
  'messages.weight':
    'only sft leaves out turns of the assistant, of a list of messages, where it is 0; every other message counts the same',
  'messages.train': 'only sft leaves out turns of the assistant, of a list of messages, where it is false',
}

const forTemplate = ['tools', 'functions', 'chat_template_kwargs']

const isEmpty = (value: unknown) =>
  value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)

/** @throws Fault not-read */
export const refuseMedia = (record: Readonly<Record<string, unknown>>, location: RecordLocation): void => {
  const column = media.find((name) => !isEmpty(record[name]))
  if (column)
    throw rowFault(
      'not-read',
      'is not read: attune learns from text alone; leave such rows or the column out',
      location,
      column,
    )
}

/** Names of `unreadColumns` that a record holds. */
export const unreadOf = (record: Readonly<Record<string, unknown>>, rows: readonly Row[]): string[] => {
  const found: string[] = []
  for (const name in record)
    if (
      Object.hasOwn(unreadColumns, name) &&
      !forTemplate.includes(name) &&
      !isEmpty(record[name]) &&
      record[name] !== 1
    )
      found.push(name)
  for (const row of rows) {
    const chats = textsOf(row).filter(isMessages)
    if (row.template && row.kind !== 'prompt' && !chats.length)
      found.push(...forTemplate.filter((name) => !isEmpty(record[name])))
    if (chats.some((turns) => turns.some(isWeighted))) found.push('messages.weight')
    if (chats.some((turns) => turns.some(({ train }) => train === false))) found.push('messages.train')
  }
  return found
}

const isWeighted = ({ weight }: Message) => typeof weight === 'number' && weight !== 1

const textsOf = (row: Row): Text[] => {
  if (row.kind === 'messages') return [row.messages]
  if (row.kind === 'ranking') return [row.prompt, ...row.responses]
  if (row.kind === 'rated') return [row.prompt, row.response]
  if (row.kind === 'prompt') return [row.prompt]
  return row.kind === 'completion' || row.kind === 'unpaired' ? [row.prompt, row.completion] : []
}
