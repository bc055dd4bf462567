/** Arguments of filters, methods and functions, by position or by name. */
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

/** The values of arguments that may be given by place alone; too few, too many or named ones are refused. */
export const placed = (name: string, { list, named }: Args, least: number, most: number): readonly Value[] => {
  if (named.size) fail(`${name}() takes no keyword arguments`)
  if (list.length < least || list.length > most)
    fail(`${name} expected ${least} to ${most} arguments, got ${list.length}`)
  return list
}
