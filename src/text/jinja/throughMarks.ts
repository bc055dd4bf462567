/**
 * Applies filters and text methods to marked texts (marks.ts): they read the true characters, and their result is
 * marked again.
 */
import { hasMarks, inParts, markText, unmarkText } from './marks.ts'
import type { Args, Value } from './values.ts'
import { is, isList, markup, textIn, tuple } from './values.ts'

/** Filters and methods that depend on no character and so take marked texts as they are. */
const blind = new Set(
  `attr batch count d default dictsort e escape first forceescape format format_map groupby items join last length list map max min pprint random reverse
   reject rejectattr safe select selectattr slice sort string sum tojson unique`.split(/\s+/),
)

const unmarkArgument = (value: Value): Value => {
  if (typeof value === 'string') return unmarkText(value)
  if (is(value, 'markup')) return markup(unmarkText(value.text))
  if (is(value, 'tuple')) return tuple(value.items.map(unmarkArgument))
  return isList(value) ? value.map(unmarkArgument) : value
}

const unmarkArgs = ({ list, named }: Args): Args => ({
  list: list.map(unmarkArgument),
  named: new Map([...named].map(([name, value]) => [name, unmarkArgument(value)])),
})

/** Runs a filter or text method on the true text and marks its result again. */
export const throughMarks = (
  name: string,
  text: string,
  args: Args,
  run: (text: string, args: Args) => Value,
): Value => {
  if (!hasMarks(text) && ![...args.list, ...args.named.values()].some(isMarked)) return run(text, args)
  if (blind.has(name) && (name !== 'format' || !hasMarks(text))) return run(text, args)
  if (name === 'urlencode') return inParts(text, (part) => String(run(part, args)))
  const plain = unmarkText(text)
  const result = run(plain, unmarkArgs(args))
  if (typeof result === 'string') return remarked(name, text, plain, args, result)
  if (is(result, 'markup')) return markup(remarked(name, text, plain, args, result.text))
  if (isList(result)) return pieces(name, text, plain, args, result)
  return is(result, 'tuple') ? tuple(pieces(name, text, plain, args, result.items)) : result
}

const isMarked = (value: Value): boolean => {
  const text = textIn(value)
  if (text !== undefined) return hasMarks(text)
  return is(value, 'tuple') ? value.items.some(isMarked) : isList(value) && value.some(isMarked)
}

const startOf: Record<string, (plain: string[], made: string[]) => number> = {
  // the first character that stays does not occur among those stripped on the left
  strip: (plain, made) => plain.indexOf(made[0]),
  trim: (plain, made) => plain.indexOf(made[0]),
  lstrip: (plain, made) => plain.length - made.length,
  rstrip: () => 0,
  removeprefix: (plain, made) => plain.length - made.length,
  removesuffix: () => 0,
}

const remarked = (name: string, text: string, plain: string, args: Args, made: string): string => {
  if (made === plain) return text
  if (made === '') return ''
  if (name === 'replace') return replacedMarks(text, plain, args, made)
  const from = [...plain]
  const to = [...made]
  if (Object.hasOwn(startOf, name)) {
    const start = startOf[name](from, to)
    return [...text].slice(start, start + to.length).join('')
  }
  if (changesCase.has(name) && from.length === to.length) {
    const points = [...text]
    return to.map((char, i) => (hasMarks(points[i]) ? markText(char) : char)).join('')
  }
  return addsSpace.has(name) ? spacedMarks([...text], from, to) : markText(made)
}

const changesCase = new Set(['upper', 'lower', 'capitalize', 'title', 'swapcase', 'casefold'])
const addsSpace = new Set(['center', 'ljust', 'rjust', 'indent', 'wordwrap', 'truncate', 'zfill'])

/** Finds the old characters in the new text, between which white space may be added or removed. */
const spacedMarks = (points: string[], from: string[], to: string[]): string => {
  let at = 0
  return to
    .map((char) => {
      let next = at
      while (next < from.length && from[next] !== char && /\s/.test(from[next])) next++
      if (from[next] === char) at = next + 1
      // new characters count as data, except white space
      return from[next] === char ? points[next] : /\s/.test(char) ? char : markText(char)
    })
    .join('')
}

/** Marks the parts of a split text, which lie in order with a separator or white space between them. */
const pieces = (name: string, text: string, plain: string, args: Args, made: readonly Value[]): Value[] => {
  const points = [...text]
  const from = [...plain]
  const given = args.list[0] ?? args.named.get('sep')
  const separator = name.endsWith('split') && typeof given === 'string' ? [...unmarkText(given)].length : 0
  const isCut = name.endsWith('partition') || separator > 0
  let at = 0
  return made.map((part) => {
    if (typeof part !== 'string') return part
    const chars = [...part]
    if (!isCut && chars.length) while (at < from.length && from[at] !== chars[0]) at++
    const marked = points.slice(at, at + chars.length).join('')
    at += chars.length + separator
    return marked
  })
}

/** Text between replacements keeps its marks; the replacement has its own. */
const replacedMarks = (text: string, plain: string, { list, named }: Args, made: string): string => {
  const [old, fresh, count] = ['old', 'new', 'count'].map((name, i) => list[i] ?? named.get(name))
  if (typeof old !== 'string' || old === '' || typeof fresh !== 'string') return markText(made)
  const wanted = unmarkText(old)
  const most = typeof count === 'number' && count >= 0 ? count : Number.POSITIVE_INFINITY
  const points = [...text]
  const out: string[] = []
  let [at, done] = [0, 0]
  const cuts = plain.split(wanted)
  for (const [i, part] of cuts.entries()) {
    const length = [...part].length
    out.push(points.slice(at, at + length).join(''))
    at += length
    if (i === cuts.length - 1) break
    const skipped = [...wanted].length
    out.push(done < most ? fresh : points.slice(at, at + skipped).join(''))
    at += skipped
    done++
  }
  return out.join('')
}
