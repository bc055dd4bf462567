/** `attune data`: what is in files of rows and what each command could do with them; and rows of one kind as another. */
import { z } from 'zod'
import { resolveDataset, resolveHubModel } from '../../checkpoint/hub.node.ts'
import type { Kinds } from '../../data/convert.ts'
import { delimiterName } from '../../data/csvDialect.ts'
import { dataFiles } from '../../data/input.node.ts'
import { labelRule } from '../../data/labelRule.ts'
import { contentText } from '../../data/messages.ts'
import { targetNames } from '../../data/records.ts'
import { isIds, isMessages, type Ranking, type Row, type Text } from '../../data/rows.ts'
import { wordsFor } from '../../data/suggest.ts'
import { type FileSurvey, surveyFile } from '../../data/survey.node.ts'
import { rankLabel } from '../../data/together.node.ts'
import { unreadColumns } from '../../data/unread.ts'
import { count, dataFields } from '../../recipes/trainer/fields.ts'
import { modelOfRun } from '../../runs/find.node.ts'
import { loadTokenizerFolder, noTokenizer } from '../../text/tokenizer.node.ts'
import { badInput } from '../../util/fault.ts'
import { plural, whole } from '../../util/format.ts'
import { command } from '../command.ts'
import { columns, countsText, wrapped } from '../format.ts'
import { convert, split } from '../rowsWritten.ts'

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
  label: z
    .string()
    .refine(
      (rule) => rule === rankLabel || labelRule(rule) !== undefined,
      "must be VALUE=true,VALUE=false, a threshold such as '>=4', or rank",
    )
    .optional()
    .meta({ value: 'RULE' })
    .describe(
      "what the labels of completions mean: 'up=true,down=false', or '>=4' for ratings from 4 on (default: true, yes, good, 👍 and 1 are good); with --to preference or ranking, rank: 1 is the best of the answers to a prompt",
    ),
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
      'hold out this fraction of the rows: --output train.jsonl writes train.jsonl and train-held-out.jsonl, with rows of the same prompt in the same file; with --to, of the rows that it writes',
    ),
  seed: z.number().int().nonnegative().optional().describe('with --split: which rows are held out (default: 42)'),
  output: z.string().optional().meta({ value: 'FILE.jsonl' }).describe('with --to or --split: the new file to write'),
})

export default command({
  summary:
    'Show what is in files of rows and what each command could do with it; split it, or write it as another kind of rows',
  example: 'data PAIRS.csv --to kto --output thumbs.jsonl',
  schema,
  operands: ['files'],
  async run(options, context) {
    if (options.split === undefined && options.seed !== undefined)
      throw badInput('bad-flag', 'is of --split', { flag: '--seed' })
    if (options.label === rankLabel && options.to !== 'preference' && options.to !== 'ranking')
      throw badInput('bad-flag', 'rank orders the answers to one prompt, as --to ranking and --to preference do', {
        flag: '--label',
      })
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
  const kinds = Object.entries(found.kinds).map(([kind, n]) => `${plural(n, 'row')} ${kindWords(kind, found.format)}`)
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

const useText = (as: keyof Kinds, { uses, contested }: FileSurvey, needs?: string): string => {
  const { rows, dropped, refused } = uses[as]
  if (refused && as === 'ranking' && contested)
    return wrapped(
      `not yet: ${plural(contested, 'prompt')} with good and bad answers, which --to preference or --to ranking puts together`,
      WIDTH,
      12,
    )
  if (refused) return wrapped(`no: it reads ${wordsFor(as)}`, WIDTH, 12)
  const lost = Object.keys(dropped).length ? `; dropped: ${countsText(dropped)}` : ''
  return `${rows ? plural(rows, 'row') : 'nothing is left'}${lost}${needs && rows ? ` (${needs})` : ''}`
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
        `${plural(duplicates.records, 'row')} the same as an earlier one (row ${duplicates.first.row} as row ${duplicates.first.of})`,
      ]
    : []),
  ...(repeatedIds ? [`${plural(repeatedIds, 'row')} with the id of an earlier one, which is no error`] : []),
  ...(unit === 'tokens' && longer
    ? [
        `${plural(longer, 'row')} longer than ${whole(maxLength)} tokens: training cuts them unless --max-length is higher`,
      ]
    : []),
  ...Object.entries(unread).map(
    ([column, n]) => `column ${column} is not read (${plural(n, 'row')}): ${unreadColumns[column]}`,
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
