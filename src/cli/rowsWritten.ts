/** What `attune data` writes: rows as those of another kind, and rows in two files of which one is held out. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resolveDataset } from '../checkpoint/hub.node.ts'
import { withAnswerTurns } from '../data/chatRows.ts'
import { dataFiles, openRecords } from '../data/input.node.ts'
import { isObject } from '../data/issue.ts'
import { anyMark } from '../data/labelRule.ts'
import { openRows } from '../data/openRows.node.ts'
import { isOther, lostIn, recordFor, type Target, targets } from '../data/records.ts'
import { sideLines, splitFiles } from '../data/split.node.ts'
import type { Counts } from '../data/survey.node.ts'
import { openTogether } from '../data/together.node.ts'
import { badInput } from '../util/fault.ts'
import { refuseTakenFile, writeNew } from '../util/files.node.ts'
import { plural, shellWord } from '../util/format.ts'
import { quoted } from '../util/quote.ts'
import { stringify } from '../util/written.ts'
import type { Context } from './command.ts'
import { countsText } from './format.ts'

/** Settings of the command. */
export type WriteOptions = {
  files: string[]
  model?: string
  column: Record<string, string>
  label?: string
  chat: boolean
  maxLength?: number
  to?: Target
  seed?: number
  output?: string
}

/** The new file that --output names. @throws Fault without one, and for one that is taken or no file of JSON lines */
const newFile = async (output: string | undefined, flag: string): Promise<string> => {
  if (output === undefined) throw badInput('bad-flag', 'needs --output FILE.jsonl', { flag })
  if (!/\.(jsonl|ndjson)$/i.test(output))
    throw badInput('bad-flag', 'must end in .jsonl: the rows are written as lines of JSON', { flag: '--output' })
  await refuseTakenFile(output)
  return output
}

type Converted = {
  records: number
  rows: number
  dropped: Counts
  lost: Counts
  /** Columns of the file that the rows do not have. */
  without?: readonly string[]
  /** How a column of marks was read. */
  read?: string
}

/**
 * Rows are written as texts and messages, before any model sees them.
 * @param output where they would be written
 */
const refuseModel = ({ model, maxLength }: WriteOptions, flag: string, output: string) => {
  if (model === undefined && maxLength === undefined) return
  const [given, it] = model === undefined ? ['--max-length', 'a length'] : ['--model', 'a model']
  const looked = ['attune data', shellWord(output), '--model', model === undefined ? 'MODEL' : shellWord(model)]
  throw badInput(
    'bad-flag',
    `${flag} has no use for ${it}: rows are written whole, as texts and messages, and training adds the chat template of its model; leave ${given} out, and see lengths in tokens with ${looked.join(' ')}`,
    { flag: given },
  )
}

/** Writes rows as those of another kind into a new file. */
const writeConverted = async (
  { files, column, label, chat }: WriteOptions,
  to: Target,
  output: string,
): Promise<Converted> => {
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
  const renamed = Object.values(column)
  let written = 0
  async function* lines() {
    for (let i = 0; i < rows.length; i++) {
      const read = await rows.row(i)
      const row = chat ? withAnswerTurns(read) : read
      const record = recordFor(to, row, rows.where(i), renamed)
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
  const without = to === 'prompt' ? [] : await leftOut(files, column)
  return {
    records: rows.records,
    rows: written,
    dropped,
    lost,
    ...(without.length > 0 && { without }),
    ...('read' in rows && { read: rows.read }),
  }
}

/** Columns of the first rows that rows of another kind do not have; none where a row is not read from columns of the usual names. */
const leftOut = async (files: string[], columns: Record<string, string>): Promise<readonly string[]> => {
  const renamed = Object.values(columns)
  const names = new Set<string>()
  for (const file of await dataFiles(files, resolveDataset)) {
    const { batches } = await openRecords(file, { columns })
    for await (const [first] of batches) {
      const own = isObject(first?.value) ? Object.keys(first.value) : []
      const isPlain = own.some(
        (name) => renamed.includes(name) || ['prompt', 'text', 'messages', 'chosen'].includes(name),
      )
      for (const name of isPlain ? own : []) if (isOther(name, renamed)) names.add(name)
      break
    }
  }
  return [...names]
}

const convertedText = (
  to: Target,
  { records, rows, dropped, lost, without: columns = [], read }: Converted,
): string => {
  const listed = (what: string, counts: Counts) =>
    Object.keys(counts).length ? `; ${what}: ${countsText(counts)}` : ''
  const rest = `${listed('dropped', dropped)}${listed('left out, since only preference rows hold it', lost)}`
  const shown = columns.slice(0, 8).map((name) => quoted(name, 40))
  const more = columns.length > shown.length ? ` and ${columns.length - shown.length} more` : ''
  const left = columns.length ? `; without the columns ${shown.join(', ')}${more}, which ${to} rows do not have` : ''
  return `${plural(rows, `${to} row`)} from ${plural(records, 'record')}${read ? `; ${read}` : ''}${rest}${left}`
}

export const convert = async (options: WriteOptions, to: Target, { out }: Context) => {
  const output = await newFile(options.output, '--to')
  refuseModel(options, '--to', output)
  const converted = await writeConverted(options, to, output)
  if (out.json) return out.jsonLine({ output, to, ...converted })
  await out.text(`${output}: ${convertedText(to, converted)}`)
}

export const split = async (options: WriteOptions, fraction: number, { out }: Context) => {
  const { to, chat, output, seed = 42 } = options
  if (to === undefined && chat)
    throw badInput('bad-flag', 'writes rows as they are; leave --chat out, or give --to', { flag: '--split' })
  const train = await newFile(output, '--split')
  refuseModel(options, '--split', train)
  const held = train.replace(/\.[^.]+$/, '-held-out$&')
  await refuseTakenFile(held)
  const dir = to && (await mkdtemp(join(tmpdir(), 'attune-data-')))
  try {
    const rows = dir && join(dir, 'rows.jsonl')
    const converted = rows && (await writeConverted(options, to, rows))
    const files = rows ? [rows] : await dataFiles(options.files, resolveDataset)
    const reading = rows
      ? { columns: {}, label: anyMark }
      : { columns: options.column, label: options.label ?? anyMark }
    const found = await splitFiles(files, { ...reading, fraction, seed, name: options.files.join(', ') })
    await writeNew(train, sideLines(files, found, false, reading))
    await writeNew(held, sideLines(files, found, true, reading)).catch(async (error) => {
      await rm(train, { force: true })
      throw error
    })
    const records = found.heldOut.length
    const heldRows = found.heldOut.filter(Boolean).length
    if (out.json)
      return await out.jsonLine({
        output: train,
        held_out: held,
        records,
        rows: records - heldRows,
        held_out_rows: heldRows,
        prompts: found.prompts,
        held_out_prompts: found.heldOutPrompts,
        seed,
        ...(converted && { to, dropped: converted.dropped, lost: converted.lost, records: converted.records }),
      })
    const sideText = (path: string, rows: number, prompts: number) =>
      `${path}: ${plural(rows, 'row')} of ${plural(prompts, 'prompt')}`
    const sides = [
      sideText(train, records - heldRows, found.prompts - found.heldOutPrompts),
      sideText(held, heldRows, found.heldOutPrompts),
    ]
    await out.text([...(converted ? [convertedText(to, converted)] : []), ...sides].join('\n'))
  } finally {
    if (dir) await rm(dir, { recursive: true, force: true })
  }
}
