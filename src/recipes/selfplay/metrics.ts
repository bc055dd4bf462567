/**
 * What an iteration did, on held-out lists: whether the model tells the data from the answers that it gave before it was
 * trained. Peculiar: an own answer that equals the data counts, with a margin of 0 and half a win, so that a model that
 * became the data's equal shows as one.
 */
import { normalInterval } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import type { List, Role } from './lists.ts'

/** A list with its log-probs under the model that is measured. */
export type Scored = { list: List; logps: readonly number[] }

export type Scale = {
  beta: number /** Rewards are beta log pi, not beta (log pi - log ref). */
  referenceFree: boolean
}

/**
 * In nats and units of reward, by the names of `eval` events: `logps/*` are means of sums over an answer, `nll` is per token
 * of the data, `margin` is the mean reward of the data less that of the own answer, with its interval of 95 %.
 */
export const measuresOf = (scored: readonly Scored[], { beta, referenceFree }: Scale): Record<string, number> => {
  const of = (role: Role) => scored.map(({ list }) => list.roles.indexOf(role))
  const [data, own] = [of('data'), of('own')]
  const reward = ({ list, logps }: Scored, k: number) => beta * (logps[k] - (referenceFree ? 0 : list.refs[k]))
  const isSame = ({ list }: Scored, i: number) => list.replies[data[i]].join() === list.replies[own[i]].join()
  const margins = scored.map((each, i) => (isSame(each, i) ? 0 : reward(each, data[i]) - reward(each, own[i])))
  const gaps = scored.map((each, i) => (isSame(each, i) ? 0 : each.logps[data[i]] - each.logps[own[i]]))
  const tokens = scored.reduce((n, { list }, i) => n + list.replies[data[i]].length, 0)
  const margin = normalInterval(margins)
  const sums = (role: Role) => scored.flatMap(({ list, logps }) => logps.filter((_, k) => list.roles[k] === role))
  return {
    'eval_logps/data': mean(sums('data')),
    'eval_logps/own': mean(sums('own')),
    'eval_logps/helper': mean(sums('helper')),
    eval_nll: -sums('data').reduce((a, b) => a + b, 0) / tokens,
    eval_margin: margin.value,
    eval_margin_low: margin.low,
    eval_margin_high: margin.high,
    eval_win_rate: mean(margins.map(win)),
    eval_likelihood_win_rate: mean(gaps.map(win)),
  }
}

const win = (margin: number) => (margin > 0 ? 1 : margin < 0 ? 0 : 0.5)
