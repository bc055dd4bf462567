/** Many that wait for one abort: a single listener on the signal, since Node takes more than ten for a leak and warns. */

const actionsOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Runs the action once when the signal aborts. One that has aborted already runs nothing.
 * @returns forgets the action
 */
export const onAbort = (signal: AbortSignal, action: () => void): (() => void) => {
  const actions = actionsOf.get(signal) ?? new Set()
  if (!actions.size) signal.addEventListener('abort', runAll, { once: true })
  actionsOf.set(signal, actions)
  // The same function given twice is two actions
  const each = () => action()
  actions.add(each)
  return () => {
    actions.delete(each)
    if (!actions.size) signal.removeEventListener('abort', runAll)
  }
}

function runAll(this: AbortSignal) {
  const actions = [...(actionsOf.get(this) ?? [])]
  actionsOf.delete(this)
  for (const action of actions) action()
}
