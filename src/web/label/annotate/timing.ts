/** The time that a person works on a task: the page is in view and something was done within the last minute. All in milliseconds. */

/** After this long without a key, a click or scrolling, nobody is taken to be reading. */
export const idleAfter = 60_000

export type Clock = {
  /** Counted so far. */
  active: number
  /** Of the last sign of life; undefined while the page is hidden. */
  since: number | undefined
}

export const started = (now: number): Clock => ({ active: 0, since: now })

/** A sign of life. */
export const alive = (clock: Clock, now: number): Clock => ({ active: elapsed(clock, now), since: now })

/** The page is hidden. */
export const paused = (clock: Clock, now: number): Clock => ({ active: elapsed(clock, now), since: undefined })

export const elapsed = ({ active, since }: Clock, now: number): number =>
  since === undefined ? active : active + Math.min(Math.max(now - since, 0), idleAfter)

/** For people: 8 s, 2 min 5 s. */
export const duration = (seconds: number): string => {
  const whole = Math.round(seconds)
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ''}`
}
