/** Labelled tasks as rows to train on: one of each vote, or one of what people say together. */
import type { Ranking, Row, Unpaired } from '../../data/rows.ts'
import { type ConsensusMethod, consensusOf, labelConsensus } from '../../feedback/votes/consensus.ts'
import type { Ranks, Task } from '../../feedback/votes/tasks.ts'
import type { ProjectSettings, VoteRecord, VoteValue } from './api.ts'
import type { Labelled } from './labelled.ts'
import type { StoredTask } from './tasks.ts'
import { ranksOf } from './verdicts.ts'

export const consensusNames = ['adjudicated', 'majority', 'bradley-terry', 'dawid-skene', 'none'] as const
export type ConsensusName = (typeof consensusNames)[number]

/** What is said of a task: by one person, or by all together. */
export type Said = {
  ranks?: Ranks
  good?: boolean
  edit?: VoteValue['edit']
  bothBad?: boolean
  /** By how many steps the first of two is better. */
  margin?: number
  prob?: number
  ratings?: VoteValue['ratings']
  vote?: Ranking['vote']
}

const saidOf = (value: VoteValue, { mode, strengths }: ProjectSettings): Said => ({
  ranks: ranksOf(value),
  good: value.good,
  edit: value.edit,
  bothBad: value.bothBad,
  ratings: value.ratings,
  ...(mode === 'pair' && strengths > 1 && value.preference !== undefined && { margin: -value.preference }),
})

/** What one person said, with their name. */
export const saidBy = (record: VoteRecord, task: StoredTask, settings: ProjectSettings): Said => ({
  ...saidOf(record.value, settings),
  vote: {
    task: task.id,
    annotation: record.id,
    annotator: record.annotator,
    lead_time: record.seconds,
    created_at: record.at,
  },
})

/** The votes as the commands for votes know them. Votes that compare nothing are left out. */
export const taskOf = ({ task, votes }: Labelled, settings: ProjectSettings): Task => ({
  id: task.id,
  prompt: task.prompt,
  responses: task.responses.map(({ text }) => text),
  votes: votes.flatMap((record) => {
    const { ranks, vote } = saidBy(record, task, settings)
    return ranks ? [{ ranks, vote }] : []
  }),
})

/**
 * What people say together of each task; undefined where nothing is decided. `adjudicated` is the decision of an adjudicator,
 * and the majority where there is none.
 */
export const saidTogether = (
  labelled: readonly Labelled[],
  consensus: Exclude<ConsensusName, 'none'>,
  settings: ProjectSettings,
): (Said | undefined)[] => {
  const method: ConsensusMethod = consensus === 'adjudicated' ? 'majority' : consensus
  const found = settings.mode === 'good' ? goodTogether(labelled, method) : ranksTogether(labelled, method, settings)
  return labelled.map(({ votes, decision }, i) => {
    if (consensus === 'adjudicated' && decision) return saidOf(decision.value, settings)
    const edit = votes.findLast(({ value }) => value.edit)?.value.edit
    const bothBad = votes.filter(({ value }) => value.bothBad).length * 2 > votes.length
    const said: Said = { ...found[i], ...(edit && { edit }), ...(bothBad && { bothBad }) }
    return Object.values(said).some((value) => value !== undefined) ? said : undefined
  })
}

const ranksTogether = (labelled: readonly Labelled[], method: ConsensusMethod, settings: ProjectSettings): Said[] => {
  const { ranks, probs } = consensusOf(
    labelled.map((one) => taskOf(one, settings)),
    method,
  )
  return labelled.map(({ votes }, i) => {
    if (ranks[i].every((rank) => rank === null)) return {}
    const steps = votes.flatMap(({ value }) => (value.preference === undefined ? [] : [-value.preference]))
    const margin = steps.reduce((a, b) => a + b, 0) / steps.length
    const [a, b] = ranks[i]
    // A mean that points the other way than the verdict says nothing of it
    const fits =
      settings.mode === 'pair' && settings.strengths > 1 && Math.sign(margin) === Math.sign((b ?? 0) - (a ?? 0))
    return { ranks: ranks[i], prob: probs[i], ...(fits && { margin }) }
  })
}

const goodTogether = (labelled: readonly Labelled[], method: ConsensusMethod): Said[] => {
  const votes = labelled.flatMap(({ task, votes }) =>
    votes.flatMap(({ annotator, value }) =>
      value.good === undefined ? [] : [{ item: String(task.id), annotator, label: value.good ? 'good' : 'bad' }],
    ),
  )
  const { items } = labelConsensus(votes, method === 'dawid-skene' ? method : 'majority')
  const labels = new Map(items.map(({ item, label }) => [item, label]))
  return labelled.map(({ task }) => {
    const label = labels.get(String(task.id))
    return label ? { good: label === 'good' } : {}
  })
}

/** The row of what is said: a ranking, good or bad, or a written answer alone; or why there is none. An edit ranks before all. */
export const rowOf = (task: StoredTask, said: Said, mode: ProjectSettings['mode']): Row | string => {
  const { ranks, good, edit, margin, prob, vote } = said
  const { id, prompt } = task
  const texts = task.responses.map(({ text }) => text)
  const common = { id, prompt, ...(vote && { vote }) }
  if (edit) {
    // What was accepted as it is is no new response
    const asIs = texts.indexOf(edit.text)
    const own: Ranks = ranks ?? texts.map(() => null)
    const lower = own.map((rank) => (rank === null ? null : rank + 1))
    const responses = asIs < 0 ? [edit.text, ...texts] : texts
    const rest = asIs < 0 ? [1, ...lower] : lower.map((rank, i) => (i === asIs ? 1 : rank))
    if (responses.length < 2) return { kind: 'completion', id, prompt, completion: edit.text }
    return { ...common, kind: 'ranking', responses, ranks: rest }
  }
  if (mode === 'good')
    return good === undefined ? 'undecided' : { kind: 'unpaired', id, prompt, completion: texts[0], label: good }
  if (!ranks || ranks.every((rank) => rank === null)) return said.bothBad ? 'all-bad' : 'undecided'
  if (texts.length < 2) return 'one-response'
  return {
    ...common,
    kind: 'ranking',
    responses: texts,
    ranks,
    ...(margin !== undefined && { margin }),
    ...(prob !== undefined && { prob }),
  }
}

/** Good and bad responses: the best of a ranking and the worst; all are bad where people say so; an edit is good. */
export const unpairedRows = (task: StoredTask, said: Said, mode: ProjectSettings['mode']): Unpaired[] => {
  const { id, prompt } = task
  const of = (completion: Unpaired['completion'], label: boolean): Unpaired => ({
    kind: 'unpaired',
    id,
    prompt,
    completion,
    label,
  })
  const texts = task.responses.map(({ text }) => text)
  const edited = said.edit && !texts.includes(said.edit.text) ? [of(said.edit.text, true)] : []
  if (mode === 'good') return [...edited, ...(said.good === undefined ? [] : [of(texts[0], said.good)])]
  if (said.bothBad) return [...edited, ...texts.map((text) => of(text, false))]
  const row = rowOf(task, said, mode)
  if (typeof row === 'string' || row.kind !== 'ranking') return edited
  const places = row.ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY)
  const [best, worst] = [Math.min(...places), Math.max(...places)]
  if (best === worst) return []
  return row.responses.flatMap((text, i) =>
    places[i] === best ? [of(text, true)] : places[i] === worst ? [of(text, false)] : [],
  )
}
