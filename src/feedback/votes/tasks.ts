/** Rankings of the same responses to the same prompt, put together: a task with its votes. */
import type { Id, Ranking, Text, Unpaired, Vote } from '../../data/rows.ts'

/** 1 is best, equal ranks tie, null is unranked, which is below everything ranked. */
export type Ranks = (number | null)[]

/** Of a task with one response, `label` says whether it is good. */
export type TaskVote = { ranks: Ranks; label?: boolean; vote?: Vote }

export type Task = {
  id?: Id
  prompt: Text
  responses: Text[]
  votes: TaskVote[]
  /** What models said, which counts as no vote. */
  predictions?: TaskVote[]
}

/** Collects tasks. Rankings of a task may have its responses in any order; votes get that of the first. */
export const taskGatherer = () => {
  const tasks = new Map<string, Task>()
  const taskOf = (row: Ranking | Unpaired, responses: Text[], key: string): Task => {
    const known = tasks.get(key)
    if (known) return known
    const id = row.vote?.task ?? row.id
    const task: Task = { ...(id !== undefined && { id }), prompt: row.prompt, responses, votes: [] }
    tasks.set(key, task)
    return task
  }
  return {
    /**
     * A ranking in which nothing is ranked makes the task known, without a vote.
     * @returns why an earlier vote was dropped: of two votes of an annotator on a task the later one counts
     */
    add: (row: Ranking | Unpaired): 'voted-twice' | undefined => {
      const responses = row.kind === 'ranking' ? row.responses : [row.completion]
      const texts = responses.map((response) => JSON.stringify(response))
      // A ranking of one bucket is a vote on its items alone
      const key = JSON.stringify([row.prompt, [...texts].sort(), row.vote?.answers?.bucket])
      const task = taskOf(row, responses, key)
      const { vote } = row
      if (row.kind === 'ranking' && row.ranks.every((rank) => rank === null)) return undefined
      const own: TaskVote =
        row.kind === 'ranking'
          ? { ranks: inOrderOf(task.responses, texts, row.ranks), vote }
          : { ranks: [row.label ? 1 : null], label: row.label, vote }
      const list = vote?.prediction ? (task.predictions ??= []) : task.votes
      const at =
        vote?.annotator === undefined ? -1 : list.findIndex((other) => other.vote?.annotator === vote.annotator)
      if (at < 0) list.push(own)
      else list[at] = own
      return at < 0 ? undefined : 'voted-twice'
    },
    tasks: (): Task[] => [...tasks.values()],
  }
}

/** Ranks of texts as ranks of the same responses in another order; equal texts keep theirs. */
const inOrderOf = (responses: readonly Text[], texts: readonly string[], ranks: Ranks): Ranks => {
  const left = texts.map((text, i) => ({ text, rank: ranks[i] }))
  return responses.map((response) => {
    const text = JSON.stringify(response)
    const at = left.findIndex((one) => one.text === text)
    return left.splice(at, 1)[0].rank
  })
}

/** What a ranking says of two responses: 0, the first is better; 1, a tie; 2, the second. */
export type Comparison = { i: number; j: number; verdict: 0 | 1 | 2 }

/** All pairs of a ranking, n choose 2, but those of two responses without a rank, of which nothing is known. */
export const comparisonsOf = (ranks: Ranks): Comparison[] =>
  ranks.flatMap((a, i) =>
    ranks.slice(i + 1).flatMap((b, more): Comparison[] => {
      if (a === null && b === null) return []
      const by = (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY)
      return [{ i, j: i + 1 + more, verdict: by < 0 ? 0 : by === 0 ? 1 : 2 }]
    }),
  )
