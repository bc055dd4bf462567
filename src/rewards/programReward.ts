/**
 * A reward function of a program that uses attune as a library. It runs in the program itself, so it may use whatever is at
 * hand there; only a promise that it returns can be late, not a loop that never ends.
 *
 * A function has no file to hash. Its setting, which run.json keeps, is `NAME=function:HASH` with a hash of its text: a run is
 * resumed only with a function of the same text. What the function reads from outside of its text is not seen.
 */
import { digestOf } from '../util/sha256.node.ts'
import { type Reply, readValues, scoreByFunction } from './functionCall.ts'
import type { OpenedReward, ProgramFunction, ScoredRow } from './rewards.ts'

const prefix = 'function:'

/** Whether the spec of a reward, without its name, stands for a function of a program. */
export const isProgramSpec = (spec: string): boolean => spec.startsWith(prefix)

/** The setting that stands for a function. @param name letters, digits, _ and - */
export const programSpec = (name: string, reward: ProgramFunction): string =>
  `${name}=${prefix}${digestOf(reward.toString()).slice(0, 16)}`

export const programReward = (reward: ProgramFunction, name: string, seconds: number): OpenedReward => ({
  score: (completions) =>
    scoreByFunction({ name, seconds, call: (rows) => callWithin(reward, rows, seconds) }, completions),
})

const callWithin = async (reward: ProgramFunction, rows: readonly ScoredRow[], seconds: number): Promise<Reply> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Reply>((resolve) => {
    timer = setTimeout(() => resolve({ late: true }), seconds * 1000)
  })
  const called = async (): Promise<Reply> => readValues(await reward(rows), rows.length)
  try {
    return await Promise.race([called(), late])
  } catch (error) {
    return { threw: error instanceof Error ? error.message : String(error) }
  } finally {
    clearTimeout(timer)
  }
}
