/** Functions that every chat template may call: Jinja2's own, and those that transformers adds. */
import { bind } from './arguments.ts'
import type { Budget } from './budget.ts'
import { strftime } from './clock.ts'
import { str } from './print.ts'
import type { Args, Dict, Thing, Value } from './values.ts'
import { asInt, asText, fail, func, isDict, itemsOf, keyOf, sequenceOf } from './values.ts'

/** As in Jinja2's sandbox. */
const longestRange = 100_000

export const globals = (now: () => Date, budget: Budget): Map<string, Value> =>
  new Map<string, Value>([
    [
      'raise_exception',
      func('raise_exception', (args) => fail(str(bind('raise_exception', args, ['message'])[0] ?? null, budget))),
    ],
    [
      'strftime_now',
      func('strftime_now', (args) => dated(now(), asText(bind('strftime_now', args, ['format'])[0] ?? null, 'format'))),
    ],
    ['namespace', func('namespace', (args) => namespace(dictOf(args, budget)))],
    ['dict', func('dict', (args) => dictOf(args, budget))],
    ['range', func('range', (args) => range(args, budget))],
    ['cycler', func('cycler', ({ list }) => cycler(list))],
    ['joiner', func('joiner', (args) => joiner(bind('joiner', args, ['sep'])[0] ?? ', '))],
  ])

const dictOf = ({ list, named }: Args, budget: Budget): Dict => {
  const dict: Dict = new Map()
  for (const source of list) {
    const entries = isDict(source)
      ? [...source]
      : itemsOf(source, budget).map((pair) => sequenceOf(pair) ?? fail('dict() takes pairs'))
    for (const [key, value] of entries) dict.set(keyOf(key), value)
  }
  for (const [key, value] of named) dict.set(key, value)
  return dict
}

const namespace = (fields: Dict): Thing => {
  const checked = (name: Value): void => {
    if (typeof name === 'string' && name.startsWith('_'))
      fail(`a namespace may not have the name ${name}: names with a leading underscore are kept apart`)
  }
  for (const name of fields.keys()) checked(name)
  return {
    kind: 'object',
    type: 'Namespace',
    get: (name) => fields.get(name),
    set: (name, value) => {
      checked(name)
      fields.set(name, value)
    },
  }
}

/** Formats are short. */
const longestFormat = 1000
const dated = (now: Date, format: string): string =>
  format.length > longestFormat ? fail('the format of strftime_now is too long') : strftime(now, format)

const range = (args: Args, budget: Budget): Value => {
  const numbers = args.list.map((value) => asInt(value, 'range'))
  const [start, stop, step = 1] = numbers.length === 1 ? [0, numbers[0]] : numbers
  if (numbers.length < 1 || numbers.length > 3) return fail(`range expected 1 to 3 arguments, got ${numbers.length}`)
  if (step === 0) return fail('range() arg 3 must not be zero')
  const count = Math.max(0, Math.ceil((stop - start) / step))
  if (count > longestRange)
    return fail(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${longestRange}).`)
  budget.spend(count)
  return Array.from({ length: count }, (_, i) => start + i * step)
}

const cycler = (items: readonly Value[]): Thing => {
  if (!items.length) return fail('at least one item has to be provided')
  let at = 0
  const methods: Record<string, () => Value> = {
    next: () => items[at++ % items.length],
    reset: () => {
      at = 0
      return null
    },
  }
  return {
    kind: 'object',
    type: 'Cycler',
    get: (name) =>
      name === 'current'
        ? items[at % items.length]
        : Object.hasOwn(methods, name)
          ? func(name, methods[name])
          : undefined,
  }
}

const joiner = (separator: Value): Thing => {
  let used = false
  return {
    kind: 'object',
    type: 'Joiner',
    get: () => undefined,
    call: () => {
      const shown = used ? separator : ''
      used = true
      return shown
    },
  }
}
