/** Rankings of the same responses to the same prompt, put together: a task with its votes. */
import type { Id, Ranking, Text, Vote } from '../../data/rows.ts'

/** 1 is best, equal ranks tie, null is unranked, which is below everything ranked. */
export type Ranks = (number | null)[]

export type TaskVote = { ranks: Ranks; vote?: Vote }

export type Task = {
  id?: Id
  prompt: Text
  responses: Text[]
  votes: TaskVote[]
}

/** Collects tasks. Rankings of a task may have its responses in any order; votes get that of the first. */
export const taskGatherer = () => {
  const tasks = new Map<string, Task>()
  return {
    /** @returns why an earlier vote was dropped: of two votes of an annotator on a task the later one counts */
    add: ({ id, prompt, responses, ranks, vote }: Ranking): 'voted-twice' | undefined => {
      const texts = responses.map((response) => JSON.stringify(response))
      const key = JSON.stringify([prompt, [...texts].sort()])
      const task = tasks.get(key)
      if (!task) {
        tasks.set(key, { id: vote?.task ?? id, prompt, responses, votes: [{ ranks, vote }] })
        return undefined
      }
      const own = { ranks: inOrderOf(task.responses, texts, ranks), vote }
      const at =
        vote?.annotator === undefined ? -1 : task.votes.findIndex((other) => other.vote?.annotator === vote.annotator)
      if (at < 0) task.votes.push(own)
      else task.votes[at] = own
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
