/** `attune agree`: how far annotators, or judges, agree beyond chance. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { Agreement, FigureName } from '../../feedback/agreement/agreement.ts'
import type { Described } from '../../feedback/agreement/inputs.ts'
import { count, dataFields, size } from '../../recipes/trainer/fields.ts'
import { defaultResamples } from '../../statistics/resampling.ts'
import { percent, plural, whole } from '../../util/format.ts'
import { command } from '../command.ts'
import { columns, wrapped } from '../format.ts'

const schema = z.object({
  files: z
    .array(z.string())
    .min(1)
    .meta({ value: 'FILE' })
    .describe(
      'votes: rows of item, annotator and label (or rank), rankings or preferences with their annotator, exports of Label Studio or Argilla, judgements with their judge',
    ),
  column: dataFields.column.describe(
    'the name that a column has in your file, if another one is expected: item=task, annotator=worker, label=answer; repeatable',
  ),
  weights: z
    .enum(['linear', 'quadratic'])
    .default('quadratic')
    .describe('of the weighted kappa: how much a disagreement counts by the distance of the two labels'),
  resamples: count().default(defaultResamples).describe('resamples of the bootstrap'),
  seed: size().default(0).describe('random seed of the resamples'),
})

export default command({
  summary: 'How far annotators agree: kappa, alpha, tau, with intervals by the bootstrap over items',
  example: 'agree VOTES.jsonl',
  schema,
  operands: ['files'],
  async run({ files, column, weights, resamples, seed }, { out }) {
    const { readVotes } = await import('../../feedback/agreement/readVotes.ts')
    const { agreement } = await import('../../feedback/agreement/agreement.ts')
    const votes = await readVotes(files, { columns: column, resolve: resolveDataset })
    const found = agreement(votes, { weights, resamples, seed })
    if (out.json) await out.jsonLine(jsonOf(found, votes, weights))
    else await out.text(textOf(found, votes, weights, out.columns()))
  },
})

const jsonOf = ({ figures, intervals, n, nNoTies, items }: Agreement, votes: Described, weights: string) => ({
  ...Object.fromEntries(
    Object.entries(figures).flatMap(([name, value]) => {
      const { low, high } = intervals[name as FigureName]
      return [
        [name, value],
        [`${name}_low`, low],
        [`${name}_high`, high],
      ].map(([key, number]) => [key, Number.isFinite(number) ? number : null])
    }),
  ),
  n,
  n_no_ties: nNoTies,
  items,
  annotators: votes.annotators.length,
  votes: votes.votes,
  weights,
  skipped: votes.skipped,
})

/** Rows of the table, and what each is. */
const rows: readonly [FigureName, string][] = [
  ['agreement', 'raw agreement'],
  ['agreement_no_ties', 'raw agreement without ties'],
  ['kappa', "Cohen's kappa"],
  ['weighted_kappa', 'weighted kappa'],
  ['scott_pi', "Scott's pi"],
  ['fleiss', "Fleiss' kappa"],
  ['ac1', "Gwet's AC1"],
  ['brennan_prediger', 'Brennan-Prediger'],
  ['alpha_nominal', "Krippendorff's alpha, nominal"],
  ['alpha_ordinal', "Krippendorff's alpha, ordinal"],
  ['tau_b', "Kendall's tau-b"],
]

/** Averages over pairs of annotators, which mean little where two of them share few items. */
const ofTwo: readonly FigureName[] = ['kappa', 'weighted_kappa', 'tau_b']
const enoughShared = 10

const textOf = (found: Agreement, votes: Described, weights: string, width: number): string => {
  const { figures, intervals, n, nNoTies, items } = found
  const shown = (name: FigureName, x: number) =>
    !Number.isFinite(x) ? '–' : name.startsWith('agreement') ? percent(x, 1) : x.toFixed(3)
  const range = (name: FigureName) => {
    const { low, high } = intervals[name]
    return Number.isFinite(low) ? `${shown(name, low)} to ${shown(name, high)}` : '–'
  }
  const sparse = votes.annotators.length > 2 && found.sharedItems < enoughShared
  const table = columns(
    [
      ['', 'value', '95 %'],
      ...rows
        .filter(([name]) => Number.isFinite(figures[name]) && (name !== 'agreement_no_ties' || nNoTies < n))
        .filter(([name]) => !sparse || !ofTwo.includes(name))
        .map(([name, title]) => [
          name === 'weighted_kappa' ? `${title}, ${weights}` : title,
          shown(name, figures[name]),
          range(name),
        ]),
    ],
    [1, 2],
  )
  const skipped = Object.entries(votes.skipped).map(([why, times]) => `${why}: ${whole(times)}`)
  const lines = [
    `${plural(n, 'comparison')} on ${plural(items, 'item')} by ${plural(votes.annotators.length, 'annotator')}, from ${plural(votes.votes, 'vote')}`,
    ...(votes.ordered
      ? []
      : [
          `The labels (${votes.names.slice(0, 5).join(', ')}) have no order, so what needs one is left out: weighted kappa, the ordinal alpha, tau-b.`,
        ]),
    ...(sparse
      ? [
          `Two annotators share ${found.sharedItems.toFixed(1)} items on average, too few for coefficients of two annotators (kappa, tau-b); --json has them.`,
        ]
      : []),
    ...(skipped.length ? [`not counted: ${skipped.join(', ')}`] : []),
  ]
  return [table, ...lines.map((line) => wrapped(line, width - 1, 0))].join('\n\n')
}
