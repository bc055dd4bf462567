/** Opens a pair ranker, which says of two candidates for one source which is better. */
import { type Candidates, joinedPair, type Pair, pairMaker } from '../data/pairText.ts'
import { pairTokens } from '../models/pairTokens.ts'
import { bubbleSort } from '../objectives/pairRanking.ts'
import type { Model } from './model.ts'
import { type OpenedModel, type OpenModelOptions, openModel } from './open.node.ts'
import { pairScores } from './pairScores.ts'

export type OpenedRanker = OpenedModel & {
  /** Throws Faults, without a place, where texts or ids cannot be read; nothing is computed. */
  check(candidates: Candidates): void
  /** A row of ids that is joined already. Throws a Fault 'bad-row' without its markers. */
  joined(ids: readonly number[]): Pair
  /** Scores of both candidates of each pair. */
  scores(pairs: readonly Pair[]): Promise<[number, number][]>
  /** Of each row [N][N]: the score of i less that of j where i stands first, 0 on the diagonal. All rows share passes. */
  logits(rows: readonly Candidates[]): Promise<number[][][]>
  /** Of each row its candidates, best first, by as few comparisons as bubble sort needs, each in both orders; what was compared. */
  sorted(rows: readonly Candidates[]): Promise<{ order: number[]; logits: (number | null)[][] }[]>
}

/**
 * Faults: those of `openModel`; 'no-pair-ranker' for another model, 'bad-config' for markers that are none of its tokens.
 *
 * Example: `const ranker = await openRanker({ model: 'llm-blender/PairRM-hf' });
 * await ranker.logits([{ source: 'hello!', candidates: ['hi!', 'go away'] }])`
 */
export const openRanker = async ({
  share,
  ...options
}: Omit<OpenModelOptions, 'head' | 'adapter' | 'quantize'> & {
  /** Gives the model workers that compute its passes. */
  share?: (opened: OpenedModel) => Model
}): Promise<OpenedRanker> => {
  const opened = await openModel({ ...options, head: 'pairs' })
  const { tokenizer, dir } = opened
  const model = share?.(opened) ?? opened.model
  try {
    const longest = model.architecture.encoder!.longestText(model.config)
    const tokens = pairTokens(model.config, longest, `${dir}/config.json`)
    const maker = (candidates: Candidates) => pairMaker(tokens, tokenizer, candidates)
    const scores = (pairs: readonly Pair[]) => pairScores(model, pairs)
    return {
      ...opened,
      check: (candidates) => void candidates.candidates.map((_, k) => maker(candidates)(k, k)),
      joined: (ids) => joinedPair(ids, tokens),
      scores,
      logits: async (rows) => {
        const makers = rows.map(maker)
        const wanted = rows.flatMap(({ candidates }, row) =>
          candidates.flatMap((_, i) => candidates.flatMap((__, j) => (i === j ? [] : [{ row, i, j }]))),
        )
        const made = await scores(wanted.map(({ row, i, j }) => makers[row](i, j)))
        const logits = rows.map(({ candidates }) => candidates.map(() => candidates.map(() => 0)))
        for (const [n, { row, i, j }] of wanted.entries()) logits[row][i][j] = made[n][0] - made[n][1]
        return logits
      },
      sorted: (rows) => sortAll(rows, rows.map(maker), scores),
    }
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** Bubble sorts of all rows side by side: each round asks for one comparison of every row that is not sorted yet. */
const sortAll = async (
  rows: readonly Candidates[],
  makers: readonly ((i: number, j: number) => Pair)[],
  scores: OpenedRanker['scores'],
) => {
  const states = rows.map(({ candidates }, row) => ({
    row,
    sort: bubbleSort(candidates.length),
    logits: candidates.map((_, i) => candidates.map((__, j): number | null => (i === j ? 0 : null))),
    order: candidates.map((_, i) => i),
  }))
  let waiting = states.map((state) => ({ state, next: state.sort.next() }))
  for (;;) {
    const open = waiting.flatMap(({ state, next }) => {
      if (!next.done) return [{ state, pair: next.value }]
      state.order = next.value
      return []
    })
    if (open.length === 0) return states.map(({ order, logits }) => ({ order, logits }))
    const fresh = open.filter(({ state, pair: [i, j] }) => state.logits[i][j] === null)
    const made = await scores(
      fresh.flatMap(({ state, pair: [i, j] }) => [makers[state.row](i, j), makers[state.row](j, i)]),
    )
    for (const [n, { state, pair }] of fresh.entries()) {
      const [i, j] = pair
      state.logits[i][j] = made[2 * n][0] - made[2 * n][1]
      state.logits[j][i] = made[2 * n + 1][0] - made[2 * n + 1][1]
    }
    waiting = open.map(({ state, pair: [i, j] }) => ({
      state,
      next: state.sort.next(state.logits[i][j]! - state.logits[j][i]!),
    }))
  }
}
