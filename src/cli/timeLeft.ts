/** How long a comparison will take: by the pace of each kind of work since it began, and what is not measured yet by its name. */
import type { CompareProgress } from '../labs/compare/progress.ts'
import { listed } from '../util/format.ts'
import { duration } from './format.ts'

/** Seconds of a kind of work that must be measured before its pace counts. */
const leastMeasured = 2

/**
 * @param now milliseconds
 * @returns for each event of progress '1:20 left', or with work of which no pace is known '1:20 left, then judging'; undefined before
 * the pace of the work under way is known, and at its end
 */
export const makeTimeLeft = (now: () => number) => {
  const paces = new Map<string, { seconds: number; done: number }>()
  let last: { at: number; work: string; of: string; done: number } | undefined
  const secondsFor = (work: string, completions: number) => {
    const pace = paces.get(work)
    return pace && pace.done > 0 && pace.seconds >= leastMeasured ? (completions * pace.seconds) / pace.done : undefined
  }
  return ({ work, of, done, total, rest }: CompareProgress): string | undefined => {
    const at = now()
    const pace = paces.get(work) ?? { seconds: 0, done: 0 }
    // Opening a model is part of its work; what was found on the disk took no time and tells nothing
    if (last) pace.seconds += (at - last.at) / 1000
    if (last?.work === work && last.of === of) pace.done += done - last.done
    paces.set(work, pace)
    last = { at, work, of, done }
    const own = done < total ? secondsFor(work, total - done) : undefined
    if (own === undefined) return undefined
    const others = rest.map((each) => ({ name: each.work, seconds: secondsFor(each.work, each.left) }))
    const seconds = others.reduce((sum, other) => sum + (other.seconds ?? 0), own)
    const unknown = others.filter((other) => other.seconds === undefined).map(({ name }) => shortName(name, work))
    const then = listed([...new Set(unknown)])
    return [`${duration(seconds)} left`, ...(then ? [`then ${then}`] : [])].join(', ')
  }
}

/** 'judging' of 'judging by kind', until one of the judges is at work. */
const shortName = (later: string, now: string): string => {
  const [kind] = later.split(' ')
  return now.startsWith(kind) ? later : kind
}
