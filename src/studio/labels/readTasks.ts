/** Tasks from files of rows: every format that training and votes are read from, and prompts with responses nobody ranked. */
import { basename } from 'node:path'
import { type RecordLocation, recordOf } from '../../data/check.ts'
import { asCompletions } from '../../data/convert.ts'
import { type RowReader, rowReader } from '../../data/formats.ts'
import { openRecords } from '../../data/input.node.ts'
import { isObject } from '../../data/issue.ts'
import type { Row, Text } from '../../data/rows.ts'
import type { Ranks } from '../../feedback/votes/tasks.ts'
import { badInput } from '../../util/fault.ts'
import type { ImportRequest, ProjectSettings, Response, VoteValue } from './api.ts'
import { originOf, shapeOf } from './taskShapes.ts'
import type { NewTask } from './tasks.ts'

type Known = { ranks?: Ranks; good?: boolean; ratings?: Record<string, number>[]; by?: string; explanation?: string }
type Candidate = { prompt: Text; responses: Response[]; known?: Known }
export type Drop = (reason: string) => void

type Options = Pick<ImportRequest, 'column' | 'ranksAre'> & { settings: ProjectSettings; drop: Drop; name?: string }

/** Characters of rows that wait for others of their prompt, at most. */
const mostGathered = 256 * 2 ** 20

/** The tasks of one file. @throws Fault for a row that is malformed, with its place */
export async function* tasksOfFile(path: string, options: Options): AsyncGenerator<NewTask> {
  for await (const candidate of candidatesOfFile(path, options))
    yield* tasksFrom(candidate, options, options.name ?? basename(path))
}

/**
 * Prompts with their responses, as one file has them.
 * @param most records that are read at most
 */
export async function* candidatesOfFile(
  path: string,
  { column = {}, drop, settings }: Options,
  most = Number.POSITIVE_INFINITY,
): AsyncGenerator<Candidate> {
  const { layout, batches } = await openRecords(path, { columns: column })
  const groups = gatherer(path, settings)
  let reader: RowReader | undefined
  let left = most
  reading: for await (const batch of batches)
    for (const raw of batch) {
      if (left-- <= 0) break reading
      const location: RecordLocation = { file: basename(path), layout, row: raw.row, line: raw.line }
      const record = recordOf(raw.value, location)
      const named = underNames(record, column)
      const read = () => {
        reader ??= rowReader(basename(path), layout, { columns: column })
        const { rows, skipped } = reader.read(raw)
        for (const { reason } of skipped) drop(reason)
        return rows
      }
      const shape = isVote(named) ? undefined : shapeOf(named)
      const rows = shape ? [] : read()
      const candidates = shape
        ? [shape]
        : rows.length || !isTool(named)
          ? rows.flatMap((row) => groups.add(row, named, drop))
          : [shapeOf(named) ?? []].flat()
      yield* candidates
    }
  for (const row of reader?.end().rows ?? []) yield* groups.add(row, {}, drop)
  yield* groups.end()
}

/** Rows that a page sends. */
export function* tasksOfRows(rows: readonly Candidate[], options: Options): Generator<NewTask> {
  for (const row of rows) yield* tasksFrom(row, options, 'import')
}

const underNames = (record: Record<string, unknown>, column: Record<string, string>) => ({
  ...record,
  ...Object.fromEntries(Object.entries(column).map(([name, own]) => [name, record[own]])),
})

const isTool = (record: Record<string, unknown>) => isObject(record.data) || isObject(record.fields)

/** Whether a record says which response is the better: then it is read as training reads it. */
const isVote = (record: Record<string, unknown>): boolean => {
  const { annotations, responses, fields, data } = record
  if (isObject(data)) return Array.isArray(annotations) && annotations.length > 0
  if (isObject(fields)) return Array.isArray(responses) && responses.length > 0
  return [
    'ranks',
    'best',
    'chosen',
    'rejected',
    'winner',
    'preferred',
    'preference',
    'better',
    'label',
    'kto_tag',
  ].some((name) => record[name] !== undefined && record[name] !== null)
}

// ---- rows of training --------------------------------------------------------------------------------------------------

type Sample = { response: Response; label?: boolean; ratings?: Record<string, number> }

/** Rows of one response wait for the others of their prompt, as `attune generate` writes them. */
const gatherer = (file: string, { mode }: ProjectSettings) => {
  const groups = new Map<string, { prompt: Text; samples: Sample[] }>()
  let characters = 0
  const wait = (prompt: Text, sample: Sample): Candidate[] => {
    if (mode === 'good') return [candidateOf(prompt, [sample])]
    const key = JSON.stringify(prompt)
    const group = groups.get(key)
    characters += JSON.stringify(sample.response).length + (group ? 0 : 2 * key.length)
    if (characters > mostGathered)
      throw badInput('too-large', 'holds too much text to be gathered by prompt; split it', { file: basename(file) })
    if (group) group.samples.push(sample)
    else groups.set(key, { prompt, samples: [sample] })
    return []
  }
  return {
    add(row: Row, record: Record<string, unknown>, drop: Drop): Candidate[] {
      const origin = originOf(record)
      if (row.kind === 'ranking') {
        if (row.flags) drop(row.flags[0])
        const { prompt, ranks, vote } = row
        const by = vote?.annotator === undefined ? {} : { by: String(vote.annotator) }
        const explanation = typeof record.explanation === 'string' ? { explanation: record.explanation } : {}
        const names = Array.isArray(record.sources) ? record.sources : Array.isArray(record.models) ? record.models : []
        const responses = row.responses.map((text, i) => ({
          text,
          ...(typeof names[i] === 'string' && { source: names[i] as string }),
        }))
        return row.flags ? [] : [{ prompt, responses, known: { ranks, ...by, ...explanation } }]
      }
      if (row.kind === 'unpaired')
        return wait(row.prompt, { response: { text: row.completion, ...origin }, label: row.label })
      if (row.kind === 'rated')
        return wait(row.prompt, { response: { text: row.response, ...origin }, ratings: row.ratings })
      if (row.kind === 'prompt') {
        if (mode === 'edit') return [{ prompt: row.prompt, responses: [] }]
        drop('no-responses')
        return []
      }
      const [one] = row.kind === 'completion' || row.kind === 'messages' ? asCompletions(row) : []
      if (one) return wait(one.prompt, { response: { text: one.completion, ...origin } })
      drop('no-responses')
      return []
    },
    end: (): Candidate[] => Array.from(groups.values(), ({ prompt, samples }) => candidateOf(prompt, samples)),
  }
}

const candidateOf = (prompt: Text, given: readonly Sample[]): Candidate => {
  const seen = new Set<string>()
  // A model may say the same twice
  const samples = given.filter(({ response }) => {
    const text = JSON.stringify(response.text)
    return !seen.has(text) && seen.add(text)
  })
  const responses = samples.map(({ response }) => response)
  const labels = samples.map(({ label }) => label)
  if (samples.length === 1 && labels[0] !== undefined) return { prompt, responses, known: { good: labels[0] } }
  if (labels.every((label) => label !== undefined) && new Set(labels).size > 1)
    return { prompt, responses, known: { ranks: labels.map((label) => (label ? 1 : 2)) } }
  if (samples.every(({ ratings }) => ratings)) {
    const helpful = samples.map(({ ratings }) => ratings!.helpfulness)
    const ranks = helpful.map((one) => 1 + helpful.filter((other) => other > one).length)
    return { prompt, responses, known: { ranks, ratings: samples.map(({ ratings }) => ratings!) } }
  }
  return { prompt, responses }
}

// ---- tasks of a mode ---------------------------------------------------------------------------------------------------

/** The tasks that a project makes of a prompt with responses: all of them at once, each two, or one by one. */
function* tasksFrom({ prompt, responses, known }: Candidate, options: Options, file: string): Generator<NewTask> {
  const { settings, ranksAre = 'nothing', drop } = options
  const { mode } = settings
  const task = (of: number[]): NewTask => {
    const value = known && ranksAre !== 'nothing' ? knownValue(known, of, settings) : undefined
    return {
      prompt,
      responses: of.map((i) => responses[i]),
      ...(value &&
        ranksAre === 'gold' && { gold: { ...value, ...(known?.explanation && { note: known.explanation }) } }),
      ...(value && ranksAre === 'prediction' && { prediction: { by: known?.by ?? file, value } }),
    }
  }
  const all = responses.map((_, i) => i)
  if (mode === 'good') for (const i of all) yield task([i])
  else if (mode === 'edit' || mode === 'rate') {
    if (mode === 'rate' && !all.length) drop('no-responses')
    else yield task(all)
  } else if (all.length < 2) drop(all.length ? 'one-response' : 'no-responses')
  else if (mode === 'pair') for (const i of all) for (const j of all.slice(i + 1)) yield task([i, j])
  else yield task(all)
}

/** What a file knows of some of the responses, as a vote of the mode would say it; undefined where it cannot. */
const knownValue = (known: Known, of: readonly number[], { mode, scales }: ProjectSettings): VoteValue | undefined => {
  const ranks = known.ranks && of.map((i) => known.ranks![i])
  if (mode === 'good') return known.good === undefined ? undefined : { good: known.good }
  if (mode === 'rate') {
    const ratings = known.ratings && of.map((i) => known.ratings![i])
    const fits = ratings?.every((rating) =>
      scales.every(({ name, min, max }) => rating[name] >= min && rating[name] <= max),
    )
    if (!ratings || !fits) return undefined
    return { ratings: ratings.map((rating) => Object.fromEntries(scales.map(({ name }) => [name, rating[name]]))) }
  }
  if (!ranks || mode === 'edit' || ranks.every((rank) => rank === null)) return undefined
  const best = Math.min(...ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY))
  if (mode === 'best') {
    if (ranks.filter((rank) => rank === best).length > 1) return undefined
    return { ranks: ranks.map((rank) => (rank === best ? 1 : null)) }
  }
  if (mode === 'pair') {
    const [a, b] = ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY)
    const preference = a < b ? -1 : a > b ? 1 : 0
    return { preference, ranks: preference < 0 ? [1, 2] : preference > 0 ? [2, 1] : [1, 1] }
  }
  // Ranks begin at 1 and leave no gaps but those of ties
  return {
    ranks: ranks.map((rank) =>
      rank === null ? null : 1 + ranks.filter((other) => other !== null && other < rank).length,
    ),
  }
}
