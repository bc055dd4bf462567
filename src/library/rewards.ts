/** Rewards of a program: functions among the specs of `reward`, and the settings and names that stand for them. */
import { programSpec } from '../rewards/programReward.ts'
import type { ProgramFunction, ProgramFunctions } from '../rewards/rewards.ts'
import type { PromptRow, UnknownPromptRow } from './rows.ts'

/** What a reward function sees of a completion: the columns of the prompt's row, and these. */
export type RewardRow<Row extends PromptRow = UnknownPromptRow> = Omit<Row, 'completion' | 'ids' | 'finish_reason'> & {
  /** The completion as text. */
  completion: string
  /** The sampled token ids, the end token included. */
  ids: readonly number[]
  /** Why the completion ended: an end token, a stop text, or `maxNewTokens`. */
  finish_reason: 'eos' | 'stop' | 'length'
}

/**
 * A reward function: rows in, a number for each out, in order. `null` leaves a row to the other rewards; NaN, or an error that
 * is thrown, says that the reward failed, and the completion is left out. It may be asynchronous.
 *
 * It runs in the program. The rewards of a rollout are kept in the run's folder, so a resumed run asks for none twice; it needs
 * a function of the same text.
 */
export type RewardFunction<Row extends PromptRow = UnknownPromptRow> = (
  rows: readonly RewardRow<Row>[],
) => ArrayLike<number | null> | Promise<ArrayLike<number | null>>

/**
 * A function, or as on the command line: a reward model (folder, hub id, run), a module (rewards.ts), `exact:COLUMN`,
 * `regex:PATTERN`, `schema:FILE.json`, `arithmetic`, or a judge (URL#MODEL). `NAME=SPEC` names it in the metrics; a function
 * has its own name.
 */
export type RewardSource<Row extends PromptRow = UnknownPromptRow> = string | RewardFunction<Row>

/** Settings in place of functions, and the functions by them. */
export const withoutFunctions = (rewards: readonly unknown[]): { specs: unknown[]; functions: ProgramFunctions } => {
  const functions = new Map<string, ProgramFunction>()
  const specs = rewards.map((reward) => {
    if (typeof reward !== 'function') return reward
    const name = reward.name.replace(/[^\w-]+/g, '-') || 'function'
    // Functions of one name and text may differ in what they read from outside
    let spec = programSpec(name, reward as ProgramFunction)
    for (let n = 2; functions.has(spec); n++) spec = programSpec(`${name}-${n}`, reward as ProgramFunction)
    functions.set(spec, reward as ProgramFunction)
    return spec
  })
  return { specs, functions }
}
