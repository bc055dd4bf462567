/**
 * Compiles the tree of a regular expression to instructions for the matcher: split, jump, test a character, look
 * around.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { Anchor } from './regexDialect.ts'
import type { Node } from './regexParse.ts'

export type Instruction =
  | { op: 'set'; test: (point: number) => boolean }
  | { op: 'split'; first: number; second: number }
  | { op: 'jump'; to: number }
  | { op: 'anchor'; kind: Anchor; isWord: (point: number) => boolean }
  /** Matches `program` where it stands; `behind` is the width to step back by first, in characters. */
  | { op: 'look'; program: Program; negate: boolean; behind: number }
  | { op: 'atomic'; program: Program }
  | { op: 'match' }

export type Program = { readonly code: readonly Instruction[] }

const longest = 20_000

/** @param wordSource class of what \b counts as part of a word */
export const compileProgram = (pattern: string, tree: Node, wordSource: string): Program => {
  let total = 0
  const fail = (problem: string): never => {
    throw badInput('bad-pattern', `the pattern ${quoted(pattern)} ${problem}`)
  }
  const tests = new Map<string, (point: number) => boolean>()
  const testOf = (source: string, ignoreCase: boolean) => {
    const key = `${ignoreCase ? 'i' : ' '}${source}`
    const test = tests.get(key) ?? setTest(source, ignoreCase, fail)
    tests.set(key, test)
    return test
  }

  const program = (node: Node): Program => {
    const code: Instruction[] = []
    const emit = (instruction: Instruction): number => {
      if (++total > longest) fail(`needs more than ${longest} steps; write smaller repeat counts`)
      return code.push(instruction) - 1
    }

    const add = (node: Node): void => {
      if (node.type === 'set') emit({ op: 'set', test: testOf(node.source, node.ignoreCase) })
      else if (node.type === 'anchor') emit({ op: 'anchor', kind: node.kind, isWord: testOf(wordSource, false) })
      else if (node.type === 'sequence') node.items.forEach(add)
      else if (node.type === 'choice') addChoice(node.items)
      else if (node.type === 'repeat') addRepeat(node)
      else if (node.type === 'atomic') emit({ op: 'atomic', program: program(node.item) })
      else
        emit({
          op: 'look',
          program: program(node.item),
          negate: node.negate,
          behind: node.ahead ? 0 : fixedWidth(node.item),
        })
    }

    const addChoice = (items: Node[]) => {
      const jumps: number[] = []
      for (const item of items.slice(0, -1)) {
        const split = emit({ op: 'split', first: code.length + 1, second: 0 })
        add(item)
        jumps.push(emit({ op: 'jump', to: 0 }))
        code[split] = { op: 'split', first: split + 1, second: code.length }
      }
      add(items[items.length - 1])
      for (const jump of jumps) code[jump] = { op: 'jump', to: code.length }
    }

    const addRepeat = ({ item, min, max, lazy }: Node & { type: 'repeat' }) => {
      if (max === Infinity && canBeEmpty(item)) fail('repeats something that can be empty')
      const split = (body: number, after: number): Instruction =>
        lazy ? { op: 'split', first: after, second: body } : { op: 'split', first: body, second: after }
      const times = (count: number, one: () => void) => {
        const before = total
        // What needs no step the first time needs none later.
        for (let n = 0; n < count && (n === 0 || total > before); n++) one()
      }
      times(min, () => add(item))
      if (max === Infinity) {
        const loop = emit(split(0, 0))
        add(item)
        emit({ op: 'jump', to: loop })
        code[loop] = split(loop + 1, code.length)
        return
      }
      const exits: number[] = []
      times(max - min, () => {
        exits.push(emit(split(0, 0)))
        add(item)
      })
      for (const exit of exits) code[exit] = split(exit + 1, code.length)
    }

    add(node)
    emit({ op: 'match' })
    return { code }
  }

  const fixedWidth = (node: Node): number => {
    if (node.type === 'set') return 1
    if (node.type === 'anchor' || node.type === 'look') return 0
    if (node.type === 'atomic') return fixedWidth(node.item)
    if (node.type === 'repeat')
      return node.min === node.max ? node.min * fixedWidth(node.item) : fail('looks behind by a varying width')
    const widths = node.items.map(fixedWidth)
    if (node.type === 'sequence') return widths.reduce((sum, width) => sum + width, 0)
    return widths.every((width) => width === widths[0]) ? widths[0] : fail('looks behind by a varying width')
  }

  return program(tree)
}

const canBeEmpty = (node: Node): boolean => {
  if (node.type === 'set') return false
  if (node.type === 'anchor' || node.type === 'look') return true
  if (node.type === 'repeat') return node.min === 0 || canBeEmpty(node.item)
  if (node.type === 'atomic') return canBeEmpty(node.item)
  return node.type === 'sequence' ? node.items.every(canBeEmpty) : node.items.some(canBeEmpty)
}

const classOf = (source: string, ignoreCase: boolean): RegExp | undefined => {
  try {
    return new RegExp(`^${source}$`, ignoreCase ? 'vi' : 'v')
  } catch {
    return undefined
  }
}

const remembered = 4096

/** A table for ASCII; beyond it JavaScript's own class, asked once a character. */
const setTest = (
  source: string,
  ignoreCase: boolean,
  fail: (problem: string) => never,
): ((point: number) => boolean) => {
  const inside = classOf(source, ignoreCase) ?? fail('has a class that is not understood')
  const ascii = Array.from({ length: 128 }, (_, point) => inside.test(String.fromCharCode(point)))
  const seen = new Map<number, boolean>()
  return (point) => {
    if (point < 128) return ascii[point]
    const known = seen.get(point)
    if (known !== undefined) return known
    const found = inside.test(String.fromCodePoint(point))
    if (seen.size < remembered) seen.set(point, found)
    return found
  }
}
