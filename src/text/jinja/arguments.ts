/** Arguments of filters, methods and functions by place or by name. */
import type { Args, Value } from './values.ts'
import { fail } from './values.ts'

/** The values of the named parameters in order, undefined where not given; anything else is refused. */
export const bind = (name: string, { list, named }: Args, parameters: readonly string[]): (Value | undefined)[] => {
  if (list.length > parameters.length)
    fail(`${name} takes at most ${parameters.length} arguments (${list.length} given)`)
  for (const key of named.keys())
    if (parameters.indexOf(key) < list.length) fail(`${name} got an unexpected or repeated argument '${key}'`)
  return parameters.map((parameter, i) => (i < list.length ? list[i] : named.get(parameter)))
}
