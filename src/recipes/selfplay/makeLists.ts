/**
 * From answers to what is trained on: lists of answers in order, with their log-probs under the snapshot that gave the
 * last of them. Peculiar: this is all that is kept of a snapshot. Once the lists are on the disk the model may change, so
 * no second copy of it exists, neither in memory nor, with LoRA, of its adapter.
 */

import type { Completion } from '../../data/rows.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Model } from '../../passes/model.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { type LineFile, openLines } from '../../store/lines.node.ts'
import { runFailure } from '../../util/fault.ts'
import { logpSums } from '../trainer/reference.ts'
import type { RowCompletion } from './completions.ts'
import { type Candidate, type EqualRule, isList, type List, listSchema, ranksOf, tripletRanks } from './lists.ts'
import { type GivenCompletion, givenCompletions, keyOf, type SelfPlayRows } from './rows.ts'

export type HelperModel = {
  rank: number
  /** Its answer to a row, or why there is none. */
  given(rows: SelfPlayRows, i: number, row: Completion): Promise<GivenCompletion | string>
  /** Throws a Fault where it cannot read the row's prompt. */
  requirePrompt?(row: Completion): void
}

export type ListSources = {
  tokenization: Tokenization
  rows: SelfPlayRows
  helpers: readonly HelperModel[]
  /** Own answers of this iteration and, where two are mixed, of the one before: newest first. */
  own: readonly { from: number; answers: LineFile<RowCompletion> }[]
  /** Answers of the very first model, where they are part of the lists. */
  first?: LineFile<RowCompletion>
  onEqual: EqualRule
  /** Ranks say who answered (T-SPIN), and training needs no log-probs of a snapshot. */
  byRole: boolean
  /** Lists up to here are measured, so that their log-probs are needed even where they are not trained on. */
  measured: number
}

/** Lists that share passes and a write. */
const group = 32

export const openLists = (path: string, { rows, own }: ListSources): Promise<LineFile<List>> =>
  openLines(path, { schema: listSchema, total: rows.length * own.length, group })

/** Makes the lists that the file lacks, by the model as it is now. After an abort it ends at a group's end. */
export async function* makeLists(
  model: Model,
  comparison: ListSources,
  file: LineFile<List>,
  signal: AbortSignal,
): AsyncGenerator<ProgressEvent> {
  const total = comparison.rows.length * comparison.own.length
  while (file.length < total && !signal.aborted) {
    const end = Math.min(total, file.length + group)
    const lists: List[] = []
    for (let i = file.length; i < end; i++) lists.push(await listAt(comparison, i))
    await file.append(await withReferences(model, comparison, lists, file.length))
    yield { event: 'progress', phase: 'reference', done: file.length, total }
  }
}

const withReferences = async (
  model: Model,
  { byRole, measured }: ListSources,
  lists: readonly List[],
  start: number,
) => {
  const needed = lists.filter(
    ({ replies, dropped }, i) => replies.length && (start + i < measured || !(byRole || dropped)),
  )
  if (needed.length === 0) return lists
  const sums = await logpSums(
    model,
    needed.map(({ prompt, replies }) => ({ trunk: prompt, branches: replies })),
  )
  const refs = new Map(needed.map((list, i) => [list, sums[i]]))
  for (const [list, values] of refs)
    if (!values.every(Number.isFinite))
      throw runFailure('not-finite', `the model gives row ${list.row} a log-probability that is not finite`)
  return lists.map((list) => ({ ...list, refs: refs.get(list) ?? [] }))
}

const listAt = async (comparison: ListSources, i: number): Promise<List> => {
  const { rows, helpers, own, first, tokenization } = comparison
  const row = i % rows.length
  const { from, answers } = own[Math.floor(i / rows.length)]
  const none: List = { row, from, odd: [], prompt: [], roles: [], replies: [], ranks: [], refs: [] }
  const completion = await rows.row(row)
  const given: GivenCompletion[] = [{ answer: completion.completion }]
  for (const helper of helpers) {
    const answer = await helper.given(rows, row, completion)
    if (typeof answer === 'string') return { ...none, dropped: answer }
    given.push(answer)
  }
  const made = givenCompletions(tokenization, completion, given)
  if (typeof made === 'string') return { ...none, dropped: made }
  const mine = await answers.read(row)
  // The first model's answer is its own in the first iteration
  const before = first && from > 1 ? await first.read(row) : undefined
  if (!mine.ids?.length || (before && !before.ids?.length)) return { ...none, dropped: mine.dropped ?? 'no-reply-left' }
  const ranks = [1, ...helpers.map(({ rank }) => rank)]
  const last = Math.max(...ranks)
  const candidate = (role: Candidate['role'], ids: number[], rank: number): Candidate => ({
    ...{ role, ids, rank },
    key: keyOf(tokenization, ids),
  })
  const candidates = [
    ...made.replies.map((ids, k) => candidate(k ? 'helper' : 'data', ids, ranks[k])),
    candidate('own', mine.ids, last + 1),
    ...(before ? [candidate('first', before.ids!, last + 2)] : []),
  ]
  return { ...none, ...listOf(comparison, candidates), prompt: made.prompt, odd: made.odd }
}

const listOf = ({ byRole, onEqual }: ListSources, candidates: readonly Candidate[]) => {
  const ranks = (byRole ? tripletRanks : ranksOf)(candidates, onEqual)
  const isOne = byRole && ranks[1] === 0
  return {
    ...((isOne || !isList(ranks)) && { dropped: 'equal' }),
    roles: candidates.map(({ role }) => role),
    replies: candidates.map(({ ids }) => ids),
    ranks,
  }
}
