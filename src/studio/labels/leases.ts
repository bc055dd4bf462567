/**
 * Who has which task on their screen. Two people do not get the last place of a task at once; a place that is taken for long
 * is given out again, and if both submit then, both votes count. Kept in memory: after a restart nobody holds anything.
 */
export type Leases = {
  /** Holds a task for a person, or holds it for longer. */
  take(task: number, person: number, pass: number): void
  release(task: number, person: number): void
  /** How many others have a task on their screen for the first time. */
  others(task: number, person: number): number
  /** Which pass over a task a person has on the screen. */
  passOf(task: number, person: number): number | undefined
}

const leaseSeconds = 180

export const makeLeases = (now = () => Date.now()): Leases => {
  const held = new Map<number, Map<number, { until: number; pass: number }>>()
  const live = (task: number) => {
    const of = held.get(task)
    if (!of) return undefined
    for (const [person, { until }] of of) if (until < now()) of.delete(person)
    if (!of.size) held.delete(task)
    return of
  }
  return {
    take(task, person, pass) {
      const of = live(task) ?? new Map()
      held.set(task, of.set(person, { until: now() + leaseSeconds * 1000, pass }))
    },
    release(task, person) {
      held.get(task)?.delete(person)
      live(task)
    },
    others: (task, person) =>
      [...(live(task) ?? [])].filter(([holder, { pass }]) => holder !== person && pass === 0).length,
    passOf: (task, person) => live(task)?.get(person)?.pass,
  }
}
