/** `attune winrate`: from judgements to win rates, at equal length too, ratings, and marks by turn and category. */
import { z } from 'zod'
import type { ModelMarks } from '../../feedback/winRate/marks.ts'
import { ratingKinds } from '../../feedback/winRate/ratings.ts'
import { rateText, type Standing } from '../../feedback/winRate/standings.ts'
import { normalQuantile } from '../../statistics/quantiles.ts'
import { badInput } from '../../util/fault.ts'
import { whole } from '../../util/format.ts'
import { command } from '../command.ts'
import { columns, wrapped } from '../format.ts'

const schema = z.object({
  files: z
    .array(z.string())
    .min(1)
    .meta({ value: 'FILE' })
    .describe(
      "judgements: rows of attune judge, AlpacaEval's annotations, MT-bench's pair or single judgements, or votes (model_a, model_b, winner)",
    ),
  regularizer: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'FILE.csv' })
    .describe(
      'the length-controlled win rate exactly as AlpacaEval 2 publishes it: a file of the difficulty of each prompt and of two rewrites of the baseline (default: a simple form, from the rows alone)',
    ),
  C: z
    .number()
    .positive()
    .optional()
    .describe('with --regularizer: weight of the rows against the L1 penalty (default: by 5-fold cross-validation)'),
  ratings: z
    .enum(ratingKinds)
    .optional()
    .describe('rate the models, too, with intervals of 95 %: by Bradley-Terry, or by Elo as a mean over random orders'),
  questions: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'FILE' })
    .describe("MT-bench's questions (question_id, category), for results by category where the rows have none"),
})

export default command({
  summary:
    'Which model is better, from judgements: win rates with standard errors, at equal length, ratings, categories',
  example: 'winrate JUDGEMENTS.jsonl --ratings bt',
  schema,
  operands: ['files'],
  async run({ files, regularizer, C, ratings, questions }, { out }) {
    if (C !== undefined && regularizer === undefined)
      throw badInput('bad-flag', "is of AlpacaEval's length control; it needs --regularizer", { flag: '--C' })
    const { readCategories, readJudgements, readRegularizer } = await import('../../feedback/winRate/readJudgements.ts')
    const { standingsOf } = await import('../../feedback/winRate/standings.ts')
    const { modelMarks } = await import('../../feedback/winRate/marks.ts')
    const { judgements, marks, markedPairs } = await readJudgements(
      files,
      questions ? await readCategories(questions) : undefined,
    )
    if (markedPairs.length)
      throw badInput('unknown-columns', 'holds marks in both orders, which only attune bias reads', {
        file: files.join(', '),
      })
    const pairFlag = ratings ? '--ratings' : regularizer ? '--regularizer' : undefined
    if (!judgements.length && pairFlag)
      throw badInput('bad-flag', 'needs judgements of pairs; the files hold marks of single answers', {
        flag: pairFlag,
      })
    const { standings, words } = standingsOf(judgements, {
      regularizer: regularizer ? await readRegularizer(regularizer) : undefined,
      C,
      ratings,
    })
    const marked = modelMarks(marks)
    if (out.json) {
      for (const row of [...standings, ...marked]) await out.jsonLine(row)
      return
    }
    const parts = [
      standings.length ? winRateTable(standings) : '',
      categoryTable(standings),
      marked.length ? markTable(marked) : '',
      ...words.map((text) => wrapped(text, out.columns() - 1, 0)),
    ]
    await out.text(parts.filter(Boolean).join('\n\n'))
  },
})

const tenth = (x: number | null | undefined) => (x === null || x === undefined || Number.isNaN(x) ? '–' : x.toFixed(1))
const ratedText = (row: Parameters<typeof rateText>[0]) => (Number.isNaN(row.win_rate) ? '–' : rateText(row))
const points = (x: number | null | undefined) => (typeof x === 'number' ? whole(x) : '–')

/** Columns of what is not known for any model are left out. */
const winRateTable = (standings: readonly Standing[]): string => {
  const rated = standings.some((row) => 'rating' in row)
  const controlled = standings.some((row) => 'win_rate' in row && row.length_controlled_winrate !== null)
  const dropped = standings.some((row) => 'win_rate' in row && row.n_dropped > 0)
  const head = [
    'model',
    'win rate, %',
    'win',
    'tie',
    'loss',
    ...(dropped ? ['no verdict'] : []),
    ...(controlled ? ['at equal length, %'] : []),
    ...(rated ? ['rating', '95 %'] : []),
  ]
  const rows = standings.map((row) => {
    const of = 'win_rate' in row ? row : undefined
    return [
      row.model,
      of ? ratedText(of) : '–',
      points(of?.n_wins),
      points(of?.n_draws),
      points(of?.n_wins_base),
      ...(dropped ? [points(of?.n_dropped)] : []),
      ...(controlled ? [tenth(of?.length_controlled_winrate)] : []),
      ...(rated ? [points(row.rating), `${points(row.rating_low)} to ${points(row.rating_high)}`] : []),
    ]
  })
  return columns([head, ...rows], head.map((_, i) => i).slice(1))
}

const categoryTable = (standings: readonly Standing[]): string => {
  const rows = standings.flatMap((row) =>
    Object.entries(('categories' in row && row.categories) || {}).map(([category, rate]) => [
      row.model,
      category,
      ratedText(rate),
      points(rate.n),
    ]),
  )
  return rows.length ? columns([['model', 'category', 'win rate, %', 'n'], ...rows], [2, 3]) : ''
}

const markTable = (marked: readonly ModelMarks[]): string => {
  const turns = [...new Set(marked.flatMap((row) => Object.keys(row).filter((key) => key.startsWith('turn_'))))].sort()
  const categories = [...new Set(marked.flatMap((row) => Object.keys(row.categories ?? {})))].sort()
  const mark = (x: number | undefined) => (x === undefined || Number.isNaN(x) ? '–' : x.toFixed(2))
  const head = ['model', 'mark', ...turns.map((key) => key.replace('_', ' ')), 'n', 'no mark', ...categories]
  const rows = marked.map((row) => [
    row.model,
    // Marks that are all the same tell nothing of their spread
    row.standard_error > 0
      ? `${mark(row.average)} ± ${mark(normalQuantile(0.975) * row.standard_error)}`
      : mark(row.average),
    ...turns.map((key) => mark(row[key as `turn_${number}`])),
    points(row.n),
    points(row.unparsed),
    ...categories.map((name) => mark(row.categories?.[name]?.average)),
  ])
  return columns([head, ...rows], head.map((_, i) => i).slice(1))
}
