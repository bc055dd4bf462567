/**
 * True classes of items and how far each annotator is to be believed, from votes alone, by expectation maximisation (Dawid
 * and Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM algorithm").
 */

/** One annotator's label of one item, all numbered from 0. An annotator may vote on any items. */
export type NumberedVote = { item: number; annotator: number; label: number }

export type DawidSkene = {
  /** Probability of each class, by item: [items][classes]. */
  posterior: number[][]
  /** Share of each class over all items. */
  prior: number[]
  /** What an annotator says where a class is true, [annotators][true class][label]; rows add up to 1. */
  confusion: number[][][]
  logLikelihood: number
}

const mostSteps = 1000
/** The steps end where no probability changes by more. */
const still = 1e-9
/** Keeps what was never seen possible. */
const least = 1e-10

/** Starts at the share of votes. Every item has a vote. */
export const dawidSkene = (
  votes: readonly NumberedVote[],
  { items, annotators, classes }: { items: number; annotators: number; classes: number },
): DawidSkene => {
  const zeros = (rows: number) => Array.from({ length: rows }, () => new Array<number>(classes).fill(0))
  let posterior = zeros(items)
  for (const { item, label } of votes) posterior[item][label]++
  posterior = posterior.map(normalised)
  for (let step = 0; ; step++) {
    const prior = normalised(posterior.reduce((sum, row) => sum.map((x, k) => x + row[k]), zeros(1)[0]))
    const confusion = Array.from({ length: annotators }, () => zeros(classes))
    for (const { item, annotator, label } of votes)
      for (let k = 0; k < classes; k++) confusion[annotator][k][label] += posterior[item][k]
    for (const rows of confusion) for (const [k, row] of rows.entries()) rows[k] = normalised(row.map((x) => x + least))
    const logs = Array.from({ length: items }, () => prior.map((share) => Math.log(share + least)))
    for (const { item, annotator, label } of votes)
      for (let k = 0; k < classes; k++) logs[item][k] += Math.log(confusion[annotator][k][label])
    let [change, logLikelihood] = [0, 0]
    const next = logs.map((row, item) => {
      const most = Math.max(...row)
      const shares = row.map((log) => Math.exp(log - most))
      const total = shares.reduce((a, b) => a + b, 0)
      logLikelihood += most + Math.log(total)
      return shares.map((share, k) => {
        change = Math.max(change, Math.abs(share / total - posterior[item][k]))
        return share / total
      })
    })
    posterior = next
    if (change < still || step >= mostSteps) return { posterior, prior, confusion, logLikelihood }
  }
}

const normalised = (values: readonly number[]): number[] => {
  const total = values.reduce((a, b) => a + b, 0)
  return values.map((value) => value / total)
}

/** How often an annotator says the true class, over the classes as they occur. */
export const accuracyOf = ({ prior, confusion }: DawidSkene, annotator: number): number =>
  prior.reduce((sum, share, k) => sum + share * confusion[annotator][k][k], 0)
