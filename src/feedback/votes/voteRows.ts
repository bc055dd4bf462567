/** Rankings and consensus as rows of a file, whole or as pairs. */
import { lostIn, recordFor } from '../../data/records.ts'
import type { Ranking, Unpaired } from '../../data/rows.ts'
import type { Consensus } from './consensus.ts'
import { comparisonsOf, type Task } from './tasks.ts'

type Columns = Record<string, unknown>

/** A ranking of two that says which is better: what a preference row can hold. */
export const isDecidedPair = ({ responses, ranks }: Ranking): boolean =>
  responses.length === 2 && comparisonsOf(ranks).some(({ verdict }) => verdict !== 1)

/**
 * All pairs of a ranking, n choose 2, as rankings of two; a ranking of two is its own pair. Reasons for those that give
 * none: 'tie', and 'unranked' for two responses without a rank.
 */
export const pairsOf = (row: Ranking): { pairs: Ranking[]; dropped: string[] } => {
  const { responses, ranks, ratings, margin: _, prob: __, ...rest } = row
  const K = responses.length
  const comparisons = comparisonsOf(ranks)
  const dropped = [
    ...comparisons.filter(({ verdict }) => verdict === 1).map(() => 'tie'),
    ...Array.from({ length: (K * (K - 1)) / 2 - comparisons.length }, () => 'unranked'),
  ]
  if (K === 2) return { pairs: dropped.length ? [] : [row], dropped }
  const pairs = comparisons.flatMap(({ i, j, verdict }): Ranking[] => {
    if (verdict === 1) return []
    const [a, b] = verdict === 0 ? [i, j] : [j, i]
    return [
      {
        ...rest,
        responses: [responses[a], responses[b]],
        ranks: [1, 2],
        ...(ratings && { ratings: [ratings[a], ratings[b]] }),
      },
    ]
  })
  return { pairs, dropped }
}

/** The consensus of tasks as rankings. Where no votes compare anything, 'undecided' is the reason. */
export const consensusRows = (tasks: readonly Task[], { ranks, probs }: Consensus): (Ranking | 'undecided')[] =>
  tasks.map(({ id, prompt, responses }, t) =>
    ranks[t].every((rank) => rank === null)
      ? 'undecided'
      : {
          kind: 'ranking',
          ...(id !== undefined && { id }),
          prompt,
          responses,
          ranks: ranks[t],
          ...(probs[t] !== undefined && { prob: probs[t] }),
        },
  )

/**
 * The record of a file: chosen and rejected, responses and ranks, or completion and label, and who voted. What a ranking has no
 * column for is named in `lost`.
 */
export const voteRecord = (
  row: Ranking | Unpaired,
  form: 'preference' | 'ranking' | 'kto',
): { record: Columns; lost: string[] } => {
  const { task: _, ...vote } = row.vote ?? {}
  return { record: { ...(recordFor(form, row, {}) as Columns), ...vote }, lost: lostIn(form, row) }
}
