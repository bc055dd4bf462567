/** `attune data`: what is in files of rows and what each command could do with them; and rows of one kind as another. */
import { rm } from 'node:fs/promises'
import { z } from 'zod'
import { resolveDataset, resolveHubModel } from '../../checkpoint/hub.node.ts'
import { withAnswerTurns } from '../../data/chatRows.ts'
import type { Kinds } from '../../data/convert.ts'
import { delimiterName } from '../../data/csvDialect.ts'
import { dataFiles } from '../../data/input.node.ts'
import { anyMark } from '../../data/labelRule.ts'
import { contentText } from '../../data/messages.ts'
import { openRows } from '../../data/openRows.node.ts'
import { lostIn, recordFor, type Target, targetNames, targets } from '../../data/records.ts'
import { isIds, isMessages, type Ranking, type Row, type Text } from '../../data/rows.ts'
import { sideLines, splitFiles } from '../../data/split.node.ts'
import { wordsFor } from '../../data/suggest.ts'
import { type Counts, type FileSurvey, surveyFile } from '../../data/survey.node.ts'
import { openTogether } from '../../data/together.node.ts'
import { unreadColumns } from '../../data/unread.ts'
import { count, dataFields, labelFields } from '../../recipes/trainer/fields.ts'
import { modelOfRun } from '../../runs/find.node.ts'
import { loadTokenizerFolder, noTokenizer } from '../../text/tokenizer.node.ts'
import { badInput } from '../../util/fault.ts'
import { refuseTakenFile, writeNew } from '../../util/files.node.ts'
import { whole } from '../../util/format.ts'
import { stringify } from '../../util/written.ts'
import { type Context, command } from '../command.ts'
import { columns, wrapped } from '../format.ts'

const schema = z.object({
  files: z
    .array(z.string())
    .min(1)
    .meta({ value: 'FILE' })
    .describe('files of rows (jsonl, json, csv, tsv, parquet, jsonl.gz) or data sets of the hub (owner/name)'),
  model: z
    .string()
    .optional()
    .meta({ value: 'MODEL' })
    .describe('count lengths in tokens of this model, as training would: a folder, a hub id or the name of a run'),
  column: dataFields.column,
  label: labelFields.label,
  chat: dataFields.chat.describe(
    'read plain rows as a chat: a prompt is a message of the user and a response one of the assistant; with --to, write them so',
  ),
  maxLength: count()
    .optional()
    .describe('with --model: count rows of more tokens, which training cuts (default: that of training, 1024)'),
  to: z.enum(targetNames).optional().describe('write all rows as rows of this kind'),
  split: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe(
      'hold out this fraction of the rows: --output train.jsonl writes train.jsonl and train-held-out.jsonl, with rows of the same prompt in the same file',
    ),
  seed: z.number().int().nonnegative().optional().describe('with --split: which rows are held out (default: 42)'),
  output: z.string().optional().meta({ value: 'FILE.jsonl' }).describe('with --to or --split: the new file to write'),
})
type Options = z.output<typeof schema>

export default command({
  summary:
    'Show what is in files of rows and what each command could do with it; split it, or write it as another kind of rows',
  example: 'data PAIRS.csv --to kto --output thumbs.jsonl',
  schema,
  operands: ['files'],
  async run(options, context) {
    if (options.split === undefined && options.seed !== undefined)
      throw badInput('bad-flag', 'is of --split', { flag: '--seed' })
    if (options.split !== undefined) return split(options, options.split, context)
    if (options.to) return convert(options, options.to, context)
    if (options.output !== undefined)
      throw badInput('bad-flag', `needs --to, one of ${targetNames.join(', ')}, or --split`, { flag: '--output' })
    if (options.maxLength !== undefined && options.model === undefined)
      throw badInput('bad-flag', 'counts tokens, so it needs --model', { flag: '--max-length' })
    const encoder = options.model === undefined ? undefined : await tokenizerOf(options.model)
    const maxLength = options.maxLength ?? dataFields.maxLength.parse(undefined)
    const files = await dataFiles(options.files, resolveDataset)
    for (const [at, file] of files.entries()) {
      const found = await surveyFile(file, {
        columns: options.column,
        label: options.label,
        chat: options.chat,
        encoder,
        maxLength,
      })
      const lacksChat = encoder?.chat !== undefined && !options.chat && isPlain(found.sample)
      if (context.out.json) await context.out.jsonLine(jsonOf(found, maxLength))
      else await context.out.text(`${at ? '\n' : ''}${surveyText(found, maxLength, lacksChat)}`)
    }
  },
})

const tokenizerOf = async (model: string) => {
  const run = await modelOfRun(model)
  const dir = await resolveHubModel(run?.model ?? model)
  const tokenizer = await loadTokenizerFolder(dir, run?.adapter)
  if (tokenizer) return tokenizer
  throw noTokenizer(dir)
}

// ---- looking ---------------------------------------------------------------------------------------------------------

/** The kind of rows that a command reads, and what else it needs. */
const readers: readonly { name: string; as: keyof Kinds; needs?: string }[] = [
  { name: 'sft', as: 'sft' },
  { name: 'dpo', as: 'ranking' },
  { name: 'kto', as: 'unpaired' },
  { name: 'reward', as: 'ranking' },
  { name: 'spin', as: 'completion' },
  { name: 'asft', as: 'completion', needs: 'with --helper' },
  { name: 'distill', as: 'completion', needs: 'with --teacher' },
  { name: 'selfreward', as: 'completion' },
  { name: 'grpo', as: 'prompt', needs: 'with --reward' },
]

const jsonOf = (
  { uses, unread, duplicates, repeatedIds, contested, dialect, ...found }: FileSurvey,
  maxLength: number,
) => ({
  file: found.file,
  format: found.format,
  delimiter: dialect?.delimiter ?? null,
  encoding: dialect?.encoding ?? null,
  records: found.records,
  kinds: found.kinds,
  columns: found.columns,
  lengths: { unit: found.unit, ...found.lengths },
  ...(found.unit === 'tokens' && { longer: { than: maxLength, rows: found.longer } }),
  contested_prompts: contested,
  uses: Object.fromEntries(readers.map(({ name, as }) => [name, uses[as]])),
  unread,
  duplicates,
  repeated_ids: repeatedIds,
  sample: found.sample,
})

const WIDTH = 96

const surveyText = (found: FileSurvey, maxLength: number, lacksChat: boolean): string => {
  const kinds = Object.entries(found.kinds).map(([kind, n]) => `${rowsOf(n)} ${kindWords(kind, found.format)}`)
  const written = found.dialect ? `; fields are parted by ${delimiterName(found.dialect.delimiter)}` : ''
  const encoding =
    found.dialect && found.dialect.encoding !== 'utf-8' ? ` in ${found.dialect.encoding.toUpperCase()}` : ''
  return [
    `${found.file}: ${kinds.join(', ')} (format: ${found.format}${encoding}${written})`,
    columnTable(found),
    lengthTable(found),
    columns(readers.map(({ name, as, needs }) => [name, useText(as, found, needs)])),
    sampleText(found.sample),
    [...(lacksChat ? [chatNote] : []), ...notes(found, maxLength)].join('\n'),
  ]
    .filter(Boolean)
    .join('\n\n')
}

/** What rows of a kind hold. */
const kindWords = (kind: string, format: string): string => {
  if (kind === 'ranking' && format === 'preference') return 'with a chosen and a rejected response'
  return words[kind] ?? `of the kind ${kind}`
}

const words: Readonly<Record<string, string>> = {
  ranking: 'with responses that are ranked',
  unpaired: 'with a response and whether it is good',
  rated: 'with a response and its ratings',
  text: 'of text',
  messages: 'of conversations',
  completion: 'with a prompt and a completion',
  prompt: 'with a prompt',
  labelled: 'of token ids with labels',
}

/** Columns, and parts of a row, that are listed: a file of a stranger may have any number. */
const SHOWN = 30

const counted = (n: number, what: string) => `${whole(n)} ${what}${n === 1 ? '' : 's'}`
const rowsOf = (n: number) => counted(n, 'row')

const columnTable = ({ columns: all, records }: FileSurvey): string => {
  const entries = Object.entries(all)
  const table = columns([['column', 'filled'], ...entries.slice(0, SHOWN).map(filled(records))], [1])
  return entries.length > SHOWN ? `${table}\nand ${whole(entries.length - SHOWN)} more` : table
}

const filled =
  (records: number) =>
  ([name, n]: [string, number]): string[] => [name.slice(0, 60), n === records ? 'all' : whole(n)]

const lengthTable = ({ unit, lengths }: FileSurvey): string =>
  columns(
    [
      [unit, 'median', '95 %', 'longest'],
      ...Object.entries(lengths).map(([name, { median, p95, longest }]) => [
        name,
        ...[median, p95, longest].map(whole),
      ]),
    ],
    [1, 2, 3],
  )

const countsText = (counts: Counts) =>
  Object.entries(counts)
    .map(([why, n]) => `${why}: ${whole(n)}`)
    .join(', ')

const useText = (as: keyof Kinds, { uses, contested }: FileSurvey, needs?: string): string => {
  const { rows, dropped, refused } = uses[as]
  if (refused && as === 'ranking' && contested)
    return wrapped(
      `not yet: ${counted(contested, 'prompt')} with good and bad answers, which --to preference or --to ranking puts together`,
      WIDTH,
      12,
    )
  if (refused) return wrapped(`no: it reads ${wordsFor(as)}`, WIDTH, 12)
  const lost = Object.keys(dropped).length ? `; dropped: ${countsText(dropped)}` : ''
  return `${rows ? rowsOf(rows) : 'nothing is left'}${lost}${needs && rows ? ` (${needs})` : ''}`
}

const chatNote = wrapped(
  'the model has a chat template, which rows of plain text do not pass through: with --chat, here and in training, prompts and responses are read as turns of a chat',
  WIDTH,
  2,
)

/** A row with a prompt whose texts are no messages: one that --chat would read as a chat. */
const isPlain = (row: Row): boolean => 'prompt' in row && typeof row.prompt === 'string'

const notes = ({ duplicates, repeatedIds, unread, longer, unit }: FileSurvey, maxLength: number): string[] => [
  ...(duplicates.first
    ? [
        `${rowsOf(duplicates.records)} the same as an earlier one (row ${duplicates.first.row} as row ${duplicates.first.of})`,
      ]
    : []),
  ...(repeatedIds ? [`${rowsOf(repeatedIds)} with the id of an earlier one, which is no error`] : []),
  ...(unit === 'tokens' && longer
    ? [`${rowsOf(longer)} longer than ${whole(maxLength)} tokens: training cuts them unless --max-length is higher`]
    : []),
  ...Object.entries(unread).map(
    ([column, n]) => `column ${column} is not read (${rowsOf(n)}): ${unreadColumns[column]}`,
  ),
]

const sampleText = (row: Row): string => {
  const parts = partsOf(row)
  const lines = parts
    .slice(0, SHOWN)
    .map(([name, value]) => `  ${name}: ${wrapped(shortened(value), WIDTH, name.length + 4)}`)
  return ['row 0', ...lines, ...(parts.length > SHOWN ? [`  and ${whole(parts.length - SHOWN)} more`] : [])].join('\n')
}

/** On one line; white space at an end is shown by quotes. */
const shortened = (text: string) => {
  const line = text.slice(0, 2000).replace(/\s+/g, ' ')
  const short = line.length > 400 ? `${line.slice(0, 400)}...` : line
  return short === short.trim() ? short : `"${short}"`
}

const partsOf = (row: Row): [string, string][] => {
  if (row.kind === 'text') return textParts('text', row.text)
  if (row.kind === 'messages') return textParts('messages', row.messages)
  if (row.kind === 'labelled') return textParts('input_ids', row.input_ids)
  const asked = textParts('prompt', row.prompt)
  if (row.kind === 'prompt') return asked
  if (row.kind === 'rated')
    return [...asked, ...textParts('response', row.response), ['ratings', countsText(row.ratings)]]
  if (row.kind === 'ranking')
    return [...asked, ...row.responses.flatMap((text, i) => textParts(rankName(row, i), text))]
  const label: [string, string][] = row.kind === 'unpaired' ? [['label', row.label ? 'good' : 'bad']] : []
  return [...asked, ...textParts('completion', row.completion), ...label]
}

const rankName = ({ ranks }: Ranking, i: number): string => {
  const isPair = ranks.length === 2 && ranks[0] === 1 && ranks[1] === 2
  return isPair ? ['chosen', 'rejected'][i] : `rank ${ranks[i] ?? 'none'}`
}

const textParts = (name: string, text: Text): [string, string][] => {
  if (isMessages(text))
    return text.map((message) => [
      `${name}, ${message.role}`,
      [contentText(message), message.tool_calls ? JSON.stringify(message.tool_calls) : ''].filter(Boolean).join(' '),
    ])
  return [[name, isIds(text) ? `ids ${text.slice(0, 500).join(' ')}` : text]]
}

// ---- converting ------------------------------------------------------------------------------------------------------

/** The new file that --output names. @throws Fault without one, and for one that is taken or no file of JSON lines */
const newFile = async (output: string | undefined, flag: string): Promise<string> => {
  if (output === undefined) throw badInput('bad-flag', 'needs --output FILE.jsonl', { flag })
  if (!/\.(jsonl|ndjson)$/i.test(output))
    throw badInput('bad-flag', 'must end in .jsonl: the rows are written as lines of JSON', { flag: '--output' })
  await refuseTakenFile(output)
  return output
}

const convert = async (
  { files, column, label, chat, output: given, model, maxLength }: Options,
  to: Target,
  { out }: Context,
) => {
  if (model !== undefined || maxLength !== undefined)
    throw badInput('bad-flag', 'needs no model: texts are written as they are; leave --model and --max-length out', {
      flag: '--to',
    })
  const output = await newFile(given, '--to')
  const options = { columns: column, label, chat, ...(to === 'prompt' && { record: [] }) }
  const rows =
    (await openTogether(to, await dataFiles(files, resolveDataset), options)) ??
    (await openRows(files, { ...options, as: targets[to], resolve: resolveDataset }))
  const dropped: Counts = { ...rows.dropped }
  const lost: Counts = {}
  // A question that has several answers is one prompt
  const asked = new Set<string>()
  const isAskedBefore = ({ id: _, ...record }: Record<string, unknown>): boolean => {
    const key = stringify(record)
    if (to !== 'prompt' || asked.has(key)) return to === 'prompt'
    asked.add(key)
    return false
  }
  let written = 0
  async function* lines() {
    for (let i = 0; i < rows.length; i++) {
      const read = await rows.row(i)
      const row = chat ? withAnswerTurns(read) : read
      const record = recordFor(to, row, rows.where(i), Object.values(column))
      for (const name of lostIn(to, row)) lost[name] = (lost[name] ?? 0) + 1
      const drop = typeof record === 'string' ? record : isAskedBefore(record) ? 'repeated-prompt' : undefined
      if (drop) dropped[drop] = (dropped[drop] ?? 0) + 1
      else {
        written++
        yield Buffer.from(`${stringify(record)}\n`)
      }
    }
    if (!written) throw badInput('empty-data', `no row is left (${countsText(dropped)})`, { file: files.join(', ') })
  }
  try {
    await writeNew(output, lines())
  } finally {
    await rows.close()
  }
  if (out.json) return out.jsonLine({ output, to, records: rows.records, rows: written, dropped, lost })
  const listed = (what: string, counts: Counts) =>
    Object.keys(counts).length ? `; ${what}: ${countsText(counts)}` : ''
  const rest = `${listed('dropped', dropped)}${listed('left out, since only preference rows hold it', lost)}`
  await out.text(`${output}: ${counted(written, `${to} row`)} from ${counted(rows.records, 'record')}${rest}`)
}

// ---- splitting -------------------------------------------------------------------------------------------------------

const split = async (
  { files: given, column, label, chat, to, model, maxLength, output, seed = 42 }: Options,
  fraction: number,
  { out }: Context,
) => {
  if (to !== undefined)
    throw badInput('bad-flag', 'writes rows as they are; write those of --to into a file, and split that', {
      flag: '--split',
    })
  if (model !== undefined || maxLength !== undefined || chat)
    throw badInput('bad-flag', 'writes rows as they are; leave --model, --max-length and --chat out', {
      flag: '--split',
    })
  const train = await newFile(output, '--split')
  const held = train.replace(/\.[^.]+$/, '-held-out$&')
  await refuseTakenFile(held)
  const files = await dataFiles(given, resolveDataset)
  const options = { columns: column, label: label ?? anyMark }
  const found = await splitFiles(files, { ...options, fraction, seed })
  await writeNew(train, sideLines(files, found, false, options))
  await writeNew(held, sideLines(files, found, true, options)).catch(async (error) => {
    await rm(train, { force: true })
    throw error
  })
  const records = found.heldOut.length
  const heldRows = found.heldOut.filter(Boolean).length
  if (out.json)
    return out.jsonLine({
      output: train,
      held_out: held,
      records,
      rows: records - heldRows,
      held_out_rows: heldRows,
      prompts: found.prompts,
      held_out_prompts: found.heldOutPrompts,
      seed,
    })
  const sideText = (path: string, rows: number, prompts: number) =>
    `${path}: ${rowsOf(rows)} of ${counted(prompts, 'prompt')}`
  await out.text(
    `${sideText(train, records - heldRows, found.prompts - found.heldOutPrompts)}\n${sideText(held, heldRows, found.heldOutPrompts)}`,
  )
}
