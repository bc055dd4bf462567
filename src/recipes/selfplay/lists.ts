/**
 * The ranked lists that self-play learns from: for each prompt the completions of the data, the helper models, the policy and
 * the first model, in this order, with their log-probs under the snapshot (the policy before the iteration). The lists are all
 * that is kept of a snapshot: once they are on disk the policy may change, so there is no second copy of the model, neither in
 * memory nor, with LoRA, of its adapter. Equal completions say nothing about each other, and a list of nothing else is dropped.
 */
import { z } from 'zod'
import type { RankedExample } from '../../data/examples.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Model } from '../../passes/model.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { type LineFile, openLines } from '../../store/lines.node.ts'
import { runFailure } from '../../util/fault.ts'
import { logpSums } from '../trainer/reference.ts'
import {
  type ExternalCompletion,
  encodeExternal,
  equalityKey,
  type RowCompletion,
  type SelfPlayRows,
} from './completions.ts'
import type { HelperModel } from './helperModels.ts'

const ids = z.array(z.number().int().nonnegative())

const listSchema = z.object({
  /** The row of the data, and the iteration that the policy's completion is from. */
  row: z.number(),
  from: z.number(),
  /** Why it is not trained on. */
  dropped: z.string().optional(),
  /** What is odd about it. */
  odd: z.array(z.string()),
  prompt: ids,
  /**
   * Of each completion, in order: who made it (`own` is the policy, `first` the model before any training), its token ids, its
   * rank (0 where it is left out), and its log-prob under the snapshot in nats.
   */
  roles: z.array(z.enum(['data', 'helper', 'own', 'first'])),
  replies: z.array(ids),
  ranks: z.array(z.number()),
  refs: z.array(z.number()),
})
/** A prompt with its ranked completions, as a line of the run's file. */
export type List = z.infer<typeof listSchema>
export type Role = List['roles'][number]

// Ranks

export type Candidate = {
  role: Role
  ids: number[]
  rank: number
  /** Equal where completions are equal. */
  key: string
}

/** `--on-equal` */
export type EqualRule = 'drop' | 'tie'

/** Ranks after equal completions are dropped (0) but for the best-ranked, or tied: they share its rank. */
export const ranksOf = (candidates: readonly Candidate[], rule: EqualRule): number[] =>
  candidates.map(({ key, rank }, k) => {
    const first = candidates.findIndex((other) => other.key === key)
    if (first === k) return rank
    return rule === 'tie' ? candidates[first].rank : 0
  })

/**
 * T-SPIN compares by role, so ranks stay 1 (data), 2 (own), 3 (first). `drop` leaves out the first model's completion where it
 * equals another, and the whole list where the policy's own is the data's.
 */
export const tripletRanks = (candidates: readonly Candidate[], rule: EqualRule): number[] =>
  rule === 'tie' ? candidates.map(({ rank }) => rank) : ranksOf(candidates, 'drop')

/** Whether two completions are left to compare. */
export const isComparable = (ranks: readonly number[]) => ranks.filter((rank) => rank > 0).length > 1

/** A list as the objective takes it, without the completions that are left out. */
export const rankedOf = ({ prompt, replies, ranks, refs }: List): { example: RankedExample; refLogps: number[] } => {
  const kept = ranks.flatMap((rank, k) => (rank > 0 ? [k] : []))
  const pick = <T>(values: readonly T[]) => kept.map((k) => values[k])
  return { example: { prompt, responses: pick(replies), ranks: pick(ranks), truncated: false }, refLogps: pick(refs) }
}

// Lists on disk

export type ListSources = {
  tokenization: Tokenization
  rows: SelfPlayRows
  helpers: readonly HelperModel[]
  /** The policy's completions of this iteration and, where two are mixed, of the one before: newest first. */
  own: readonly { from: number; completions: LineFile<RowCompletion> }[]
  /** Completions of the first model, where they are part of the lists. */
  first?: LineFile<RowCompletion>
  onEqual: EqualRule
  /** Ranks say who made a completion, and training reads no log-probs of the snapshot. */
  tspin: boolean
  /** The first so many lists are evaluated, so they need log-probs even where they are not trained on. */
  evaluated: number
}

/** Lists that share passes and a write. */
const group = 32

export const openLists = (path: string, { rows, own }: ListSources): Promise<LineFile<List>> =>
  openLines(path, { schema: listSchema, total: rows.length * own.length, group })

/** Makes the lists that the file lacks, by the model as it is now. After an abort it ends at a group's end. */
export async function* makeLists(
  model: Model,
  sources: ListSources,
  file: LineFile<List>,
  signal: AbortSignal,
): AsyncGenerator<ProgressEvent> {
  const total = sources.rows.length * sources.own.length
  while (file.length < total && !signal.aborted) {
    const end = Math.min(total, file.length + group)
    const lists: List[] = []
    for (let i = file.length; i < end; i++) lists.push(await listAt(sources, i))
    await file.append(await withRefLogps(model, sources, lists, file.length))
    yield { event: 'progress', phase: 'reference', done: file.length, total }
  }
}

const withRefLogps = async (
  model: Model,
  { tspin, evaluated }: ListSources,
  lists: readonly List[],
  start: number,
): Promise<List[]> => {
  const needed = lists.filter(
    ({ replies, dropped }, i) => replies.length && (start + i < evaluated || !(tspin || dropped)),
  )
  if (needed.length === 0) return [...lists]
  const sums = await logpSums(
    model,
    needed.map(({ prompt, replies }) => ({ trunk: prompt, branches: replies })),
  )
  const refLogps = new Map(needed.map((list, i) => [list, sums[i]]))
  for (const [list, values] of refLogps)
    if (!values.every(Number.isFinite))
      throw runFailure('not-finite', `the model gives row ${list.row} a log-probability that is not finite`)
  return lists.map((list) => ({ ...list, refs: refLogps.get(list) ?? [] }))
}

const listAt = async (sources: ListSources, i: number): Promise<List> => {
  const { rows, helpers, own, first, tokenization } = sources
  const row = i % rows.length
  const { from, completions } = own[Math.floor(i / rows.length)]
  const empty: List = { row, from, odd: [], prompt: [], roles: [], replies: [], ranks: [], refs: [] }
  const dataRow = await rows.row(row)
  const external: ExternalCompletion[] = [{ completion: dataRow.completion }]
  for (const helper of helpers) {
    const made = await helper.completion(rows, row, dataRow)
    if (typeof made === 'string') return { ...empty, dropped: made }
    external.push(made)
  }
  const encoded = encodeExternal(tokenization, dataRow, external)
  if (typeof encoded === 'string') return { ...empty, dropped: encoded }
  const ownCompletion = await completions.read(row)
  // In the first iteration the first model's completion is the policy's own
  const firstCompletion = first && from > 1 ? await first.read(row) : undefined
  if (!ownCompletion.ids?.length || (firstCompletion && !firstCompletion.ids?.length))
    return { ...empty, dropped: ownCompletion.dropped ?? 'no-reply-left' }
  const ranks = [1, ...helpers.map(({ rank }) => rank)]
  const last = Math.max(...ranks)
  const candidate = (role: Role, ids: number[], rank: number): Candidate => ({
    role,
    ids,
    rank,
    key: equalityKey(tokenization, ids),
  })
  const candidates = [
    ...encoded.completions.map((ids, k) => candidate(k ? 'helper' : 'data', ids, ranks[k])),
    candidate('own', ownCompletion.ids, last + 1),
    ...(firstCompletion ? [candidate('first', firstCompletion.ids!, last + 2)] : []),
  ]
  return { ...empty, ...ranked(sources, candidates), prompt: encoded.prompt, odd: encoded.odd }
}

const ranked = ({ tspin, onEqual }: ListSources, candidates: readonly Candidate[]) => {
  const ranks = (tspin ? tripletRanks : ranksOf)(candidates, onEqual)
  const ownIsData = tspin && ranks[1] === 0
  return {
    ...((ownIsData || !isComparable(ranks)) && { dropped: 'equal' }),
    roles: candidates.map(({ role }) => role),
    replies: candidates.map(({ ids }) => ids),
    ranks,
  }
}
