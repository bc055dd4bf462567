/** Single answers with ratings or labels, put together by their prompt: rankings, and pairs of a better and a worse answer. */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { stringify } from '../util/written.ts'
import type { ReaderOptions } from './formats.ts'
import { openRecords, scan } from './input.node.ts'
import { anyMark, labelRule, markOf } from './labelRule.ts'
import { ranksByMarks } from './labels.ts'
import { isBlank } from './plainText.ts'
import type { Target } from './records.ts'
import type { Ranking, Text, Unpaired } from './rows.ts'

type Options = ReaderOptions & { label?: string }
type Group = { first: Unpaired; answers: { text: Text; mark: number }[] }

export type Together = {
  /** One for each prompt that has a better and a worse answer, in the order of the prompts. */
  rankings: Ranking[]
  records: number
  /** Answers that are in no ranking, by reason. */
  dropped: Record<string, number>
  /** How the column of marks was read. */
  read: string
}

/** The --label of a column of ranks: 1 is the best. */
export const rankLabel = 'rank'
/** A column of such a name holds ranks, unless a rule says otherwise. */
const rankName = /^(rank|ranking|rang|platz|place)(?![a-z])/i

/** Equal for equal prompts, and equal for equal texts: a text and a user's message of that text are different prompts. */
const keyOf = (text: Text) => stringify(text)

/**
 * The answers of files by their prompts. With a rule the good ones are better than the bad ones; without it ratings order them, or ranks,
 * of which the lowest is the best.
 * @throws Fault for a row that is malformed
 * @returns undefined where the rows are of another kind
 */
export const answersTogether = async (files: readonly string[], options: Options): Promise<Together | undefined> => {
  const rule = options.label === undefined ? undefined : labelRule(options.label)
  const column = options.columns?.label ?? 'label'
  const areRanks = options.label === rankLabel || (options.label === undefined && rankName.test(column))
  const groups = new Map<string, Group>()
  const dropped: Together['dropped'] = {}
  const drop = (reason: string, n = 1) => (dropped[reason] = (dropped[reason] ?? 0) + n)
  let records = 0
  for (const file of files)
    for await (const { raw, rows, skipped } of scan(file, await openRecords(file, options), {
      ...options,
      label: rule ?? anyMark,
    })) {
      records++
      for (const { reason } of skipped) drop(reason)
      for (const row of rows) {
        if (row.kind !== 'unpaired') {
          if (!groups.size) return undefined
          throw badInput('wrong-kind', 'is no single answer with a label, as the rows before it are', {
            file,
            row: raw.row,
            line: raw.line,
          })
        }
        const given = rule ? Number(row.label) : markOf((raw.value as Record<string, unknown>)[column])!
        const mark = areRanks ? -given : given
        const group = groups.get(keyOf(row.prompt)) ?? { first: row, answers: [] }
        groups.set(keyOf(row.prompt), group)
        group.answers.push({ text: row.completion, mark })
      }
    }
  const rankings: Ranking[] = []
  for (const { first, answers } of groups.values()) {
    const best = Math.max(...answers.map(({ mark }) => mark))
    const kept = answers.filter(({ text, mark }) => mark < best || !isBlank(text))
    if (kept.length < answers.length) drop('no-completion', answers.length - kept.length)
    const marks = kept.map(({ mark }) => mark)
    if (kept.length < 2 || marks.every((mark) => mark === marks[0])) {
      if (kept.length) drop(kept.length < 2 ? 'one-response' : 'equal-ratings', kept.length)
      continue
    }
    const { id: _, label, completion, kind, vote, ...common } = first
    rankings.push({
      ...common,
      kind: 'ranking',
      responses: kept.map(({ text }) => text),
      ranks: ranksByMarks(marks) as number[],
      ...(!areRanks && { ratings: marks }),
    })
  }
  const read = areRanks ? 'ranks, 1 is the best' : rule ? `${options.label}` : 'ratings, higher is better'
  return { rankings, records, dropped, read: `${quoted(column, 60)} was read as ${read}` }
}

/** Every better answer with every worse one, the best first. */
export const pairsOf = (ranking: Ranking): Ranking[] => {
  const { responses, ranks, ratings, ...common } = ranking
  const order = responses.map((_, i) => i).sort((a, b) => ranks[a]! - ranks[b]!)
  return order.flatMap((a) =>
    order
      .filter((b) => ranks[a]! < ranks[b]!)
      .map((b) => ({
        ...common,
        responses: [responses[a], responses[b]],
        ranks: [1, 2],
        ...(ratings && { ratings: [ratings[a], ratings[b]] }),
      })),
  )
}

/** The rows that `--to` writes of single answers; undefined for other targets, and for files of other rows. */
export const openTogether = async (to: Target, files: readonly string[], options: Options) => {
  if (to !== 'preference' && to !== 'ranking') return undefined
  const found = await answersTogether(files, options)
  if (!found) return undefined
  const where = { file: files.join(', ') }
  const reasons = Object.entries(found.dropped).map(([why, n]) => `${why}: ${n}`)
  if (!found.rankings.length)
    throw badInput('empty-data', `has no prompt with a better and a worse answer (${reasons.join(', ')})`, where)
  const rows = to === 'ranking' ? found.rankings : found.rankings.flatMap(pairsOf)
  return {
    length: rows.length,
    records: found.records,
    dropped: found.dropped,
    read: found.read,
    row: async (i: number) => rows[i],
    where: () => where,
    close: async () => {},
  }
}
