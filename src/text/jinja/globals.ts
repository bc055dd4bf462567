/** Functions that every chat template may call: Jinja2's own and those that transformers adds. */
import { bind } from './arguments.ts'
import type { Budget } from './budget.ts'
import { strftime } from './clock.ts'
import { itemsOf } from './operations.ts'
import { str } from './print.ts'
import type { Args, Dict, PyObject, Value } from './values.ts'
import { asInt, asText, dict, fail, func, is, isDict, textIn } from './values.ts'

/** As in Jinja2's sandbox. */
const longestRange = 100_000

export const globals = (now: () => Date, budget: Budget): Map<string, Value> =>
  new Map<string, Value>([
    [
      'raise_exception',
      func('raise_exception', (args) => fail(str(only(bind('raise_exception', args, ['message'])), budget))),
    ],
    [
      'strftime_now',
      func('strftime_now', (args) => dated(now(), asText(only(bind('strftime_now', args, ['format'])), 'format'))),
    ],
    ['namespace', func('namespace', (args) => namespace(dictOf(args, budget)))],
    ['dict', dictFunction(budget)],
    ['range', func('range', (args) => range(args, budget))],
    ['cycler', func('cycler', ({ list }) => cycler(list))],
    ['joiner', func('joiner', (args) => joiner(...bind('joiner', args, ['sep'])))],
    ['lipsum', func('lipsum', () => fail('lipsum is refused: a conversation must give the same text every time'))],
  ])

const only = ([value]: readonly (Value | undefined)[]): Value =>
  value === undefined ? fail('a required argument is missing') : value

const dictFunction = (budget: Budget): PyObject => ({
  kind: 'object',
  type: 'TemplateDict',
  get: (name) => (name === 'fromkeys' ? func(name, ({ list }) => fromKeys(list, budget)) : undefined),
  call: (args) => dictOf(args, budget),
})

const fromKeys = ([keys, item = null]: readonly Value[], budget: Budget): Dict =>
  keys === undefined ? fail('fromkeys takes keys') : dict(itemsOf(keys, budget).map((key) => [key, item]))

const dictOf = ({ list, named }: Args, budget: Budget): Dict => {
  if (list.length > 1) return fail(`dict expected at most 1 argument, got ${list.length}`)
  const entries: (readonly [Value, Value])[] = list.flatMap((source) => entriesOf(source, budget))
  budget.spend(entries.length)
  return dict([...entries, ...named])
}

const entriesOf = (source: Value, budget: Budget): (readonly [Value, Value])[] =>
  isDict(source)
    ? [...source.entries.values()]
    : itemsOf(is(source, 'missing') ? fail(source.hint) : source, budget).map((pair) => {
        const [key, item, ...rest] = itemsOf(pair, budget)
        return item === undefined || rest.length ? fail('dict() takes pairs') : [key, item]
      })

const namespace = (given: Dict): PyObject => {
  const fields = new Map<string, Value>()
  const set = (name: Value, value: Value) => {
    const text = textIn(name)
    if (text === undefined) fail('names of a namespace are texts')
    else if (text.startsWith('_'))
      fail(`a namespace may not have the name ${text}: names with a leading underscore are kept apart`)
    else fields.set(text, value)
  }
  for (const [name, value] of given.entries.values()) set(name, value)
  return {
    kind: 'object',
    type: 'Namespace',
    get: (name) => fields.get(name),
    set,
    shown: (repr) => `<Namespace ${repr(dict(fields))}>`,
  }
}

const longestFormat = 1000
const dated = (now: Date, format: string): string =>
  format.length > longestFormat ? fail('the format of strftime_now is too long') : strftime(now, format)

const range = (args: Args, budget: Budget): Value => {
  if (args.named.size) return fail('range() takes no keyword arguments')
  const numbers = args.list.map((value) => asInt(value, 'range'))
  if (numbers.length < 1 || numbers.length > 3) return fail(`range expected 1 to 3 arguments, got ${numbers.length}`)
  const [start, stop, step = 1] = numbers.length === 1 ? [0, numbers[0]] : numbers
  if (step === 0) return fail('range() arg 3 must not be zero')
  const count = Math.max(0, Math.ceil((stop - start) / step))
  if (!(count <= longestRange))
    return fail(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${longestRange}).`)
  budget.spend(count)
  return { kind: 'range', start, stop, step, items: Array.from({ length: count }, (_, i) => start + i * step) }
}

const cycler = (items: readonly Value[]): PyObject => {
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

const joiner = (separator: Value = ', '): PyObject => {
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
