/** What a reward function gets and gives, whether it stands in a module or in a program: rows in, a number or null for each out. */
import { badInput } from '../util/fault.ts'
import { cut } from '../util/quote.ts'
import { abstained, type CompletionToScore, failed, type Reward, type ScoredRow } from './rewards.ts'

/** What came of a call. */
export type Reply = {
  values?: (number | null)[]
  threw?: string
  /** What the function gave instead of a number or null for each row. */
  wrong?: string
  late?: true
  /** The process or worker of the function is no more: why. */
  gone?: string
}

const rowOf = ({ prompt, record, sample }: CompletionToScore): ScoredRow => ({
  ...record,
  prompt,
  completion: sample.text ?? '',
  ids: sample.ids,
  finish_reason: sample.finish_reason,
})

/** Checks what a function gave for so many rows. Lists of any kind will do, typed arrays too. */
export const readValues = (given: unknown, rows: number): Reply => {
  const list: unknown[] | undefined =
    Array.isArray(given) || ArrayBuffer.isView(given) ? Array.from(given as ArrayLike<unknown>) : undefined
  if (!list) return { wrong: `gave ${given === null ? 'null' : typeof given}, not a list of numbers` }
  if (list.length !== rows) return { wrong: `gave ${list.length} rewards for ${rows} rows` }
  const wrong = list.findIndex((value) => value !== null && typeof value !== 'number')
  if (wrong >= 0) return { wrong: `gave a value of type ${typeof list[wrong]}, not a number or null` }
  return { values: list as (number | null)[] }
}

export type FunctionSource = {
  /** A file, or the name of a function: what messages call it. */
  name: string
  /** A call may take so many seconds. */
  seconds: number
  call(rows: readonly ScoredRow[]): Promise<Reply>
}

/**
 * Rewards by a function. A row that makes it throw costs no other row its reward.
 * Throws a Fault 'bad-reward' (exit 2) where it gives something else than a number or null for each row.
 */
export const scoreByFunction = async (
  source: FunctionSource,
  completions: readonly CompletionToScore[],
): Promise<Reward[]> => {
  const call = async (some: readonly CompletionToScore[]) => {
    const reply = await source.call(some.map(rowOf))
    if (reply.wrong) throw badInput('bad-reward', `its function ${reply.wrong}`, { file: source.name })
    return reply
  }
  const reply = await call(completions)
  if (reply.values) return reply.values.map((value) => rewardOf(value, source))
  if (reply.late || completions.length === 1)
    return completions.map(() => failed(troubleOf(reply, source, completions)))
  const rewards: Reward[] = []
  for (const completion of completions) {
    const { values, ...trouble } = await call([completion])
    rewards.push(values ? rewardOf(values[0], source) : failed(troubleOf(trouble, source, [completion])))
  }
  return rewards
}

const rewardOf = (value: number | null, { name }: FunctionSource): Reward => {
  if (value === null) return abstained
  return Number.isFinite(value) ? { value } : failed(`${name} gave ${value}`)
}

const troubleOf = (
  { threw, gone, late }: Reply,
  { name, seconds }: FunctionSource,
  [{ prompt }]: readonly CompletionToScore[],
): string => {
  if (late) return `${name} took more than ${seconds} s (--reward-timeout)`
  if (gone) return `${name} ended its worker: ${gone}`
  // The commonest mistakes: a function of one row, and the prompt of a chat taken for a text
  const hint = /^Cannot read properties of undefined/.test(threw ?? '')
    ? ' (it gets a list of rows: (rows) => rows.map(...))'
    : /prompt\b.* is not a function/.test(threw ?? '') && typeof prompt !== 'string'
      ? " (here a prompt is a list of messages; prompt.at(-1).content is the user's last one)"
      : ''
  return `${name} threw: ${cut(threw ?? '', 200)}${hint}`
}
