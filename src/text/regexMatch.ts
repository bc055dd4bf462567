/**
 * Finds all matches of a compiled pattern in a text, the same as a backtracking engine would, in time linear in the
 * text, so that `(a+)+$` cannot hang it. Since nothing is captured, an instruction that failed at a position fails
 * there every time: once a search gets long, the matcher records failures and never tries them again. (Selective
 * memoization: Davis, Servant, Lee, "Using selective memoization to defeat ReDoS", IEEE S&P 2021.)
 */
import { badInput } from '../util/fault.ts'
import { width } from './pieces.ts'
import type { Instruction, Program } from './regexProgram.ts'
import type { Work } from './work.ts'

type Search = {
  readonly text: string
  readonly memoFrom: number
  readonly most: number
  readonly failed: Map<Program, Uint8Array>
  steps: number
  /** Bytes of `failed`. */
  noted: number
}

/** Limits of one search: positions to come back to, and bytes of recorded failures. */
const mostPlaces = 2 ** 24
const mostNoted = 2 ** 27

const newSearch = (text: string, most = Infinity): Search => {
  const size = text.length + 200
  return { text, memoFrom: 64 * size, most: Math.min(500 * size, most), failed: new Map(), steps: 0, noted: 0 }
}

/** Whether there is a match anywhere in the text. */
export const hasMatch = (program: Program, text: string): boolean => {
  const search = newSearch(text)
  for (let at = 0; at <= text.length; at += width(text, at)) if (run(search, program, at) >= 0) return true
  return false
}

/** Bounds of the matches, [start, end] flat. An empty match counts unless another match ends there. */
export const findAll = (program: Program, text: string, work?: Work): number[] => {
  const search = newSearch(text, work?.patternSteps)
  const matches: number[] = []
  let last = -1
  for (let at = 0; at <= text.length; ) {
    const end = run(search, program, at)
    if (end > at || (end === at && last !== at)) {
      matches.push(at, end)
      last = end
    }
    at = end > at ? end : at + width(text, at)
  }
  if (work) work.patternSteps -= search.steps
  return matches
}

/** The end of the match that begins at `start`, or -1. */
const run = (search: Search, program: Program, start: number): number => {
  const { text } = search
  const { code } = program
  // Pairs (pc, position) still to try. A pc of -1 - p says that all alternatives of p at that position have failed.
  const stack: number[] = [0, start]
  while (stack.length) {
    let at = stack.pop()!
    let pc = stack.pop()!
    if (pc < 0) {
      noteFailure(search, program, -1 - pc, at)
      continue
    }
    for (let going = true; going; ) {
      if (++search.steps > search.most) throw tooSlow()
      const instruction = code[pc]
      if (instruction.op === 'match') return at
      if (instruction.op === 'set') {
        const point = text.codePointAt(at)
        going = point !== undefined && instruction.test(point)
        at += point !== undefined && point > 0xffff ? 2 : 1
        pc++
      } else if (instruction.op === 'split') {
        going = !hasFailed(search, program, pc, at)
        if (!going) break
        if (stack.length > 2 * mostPlaces) throw tooSlow()
        if (search.steps > search.memoFrom) stack.push(-1 - pc, at)
        stack.push(instruction.second, at)
        pc = instruction.first
      } else if (instruction.op === 'jump') pc = instruction.to
      else {
        at = step(search, instruction, at)
        going = at >= 0
        pc++
      }
    }
  }
  return -1
}

const tooSlow = () =>
  badInput('slow-pattern', 'the pattern takes too long on this text; shorten the text or write a simpler pattern')

const step = (search: Search, instruction: Instruction, at: number): number => {
  if (instruction.op === 'atomic') return run(search, instruction.program, at)
  if (instruction.op === 'anchor') return atAnchor(search.text, instruction, at) ? at : -1
  if (instruction.op !== 'look') return -1
  const from = stepBack(search.text, at, instruction.behind)
  const found = from >= 0 && run(search, instruction.program, from) >= 0
  return found !== instruction.negate ? at : -1
}

const stepBack = (text: string, at: number, chars: number): number => {
  for (; chars > 0 && at > 0; chars--) at -= at > 1 && width(text, at - 2) === 2 ? 2 : 1
  return chars > 0 ? -1 : at
}

const atAnchor = (text: string, { kind, isWord }: Instruction & { op: 'anchor' }, at: number): boolean => {
  if (kind === 'start') return at === 0
  if (kind === 'end') return at === text.length
  if (kind === 'endLine') return at === text.length || (at === text.length - 1 && text[at] === '\n')
  if (kind === 'lineStart') return at === 0 || (text[at - 1] === '\n' && at < text.length)
  if (kind === 'lineEnd') return at === text.length || text[at] === '\n'
  if (kind === 'anyLineStart') return at === 0 || lineBreaks.includes(text[at - 1])
  if (kind === 'anyLineEnd') return at === text.length || lineBreaks.includes(text[at])
  const before = at > 0 && isWord(text.codePointAt(stepBack(text, at, 1))!)
  const after = at < text.length && isWord(text.codePointAt(at)!)
  return (before !== after) === (kind === 'word')
}

/** JavaScript's line terminators. */
const lineBreaks = '\n\r\u2028\u2029'

const bitOf = (search: Search, pc: number, at: number) => pc * (search.text.length + 1) + at

const hasFailed = (search: Search, program: Program, pc: number, at: number): boolean => {
  const bits = search.failed.get(program)
  const bit = bitOf(search, pc, at)
  return bits !== undefined && (bits[bit >>> 3] & (1 << (bit & 7))) !== 0
}

const noteFailure = (search: Search, program: Program, pc: number, at: number) => {
  let bits = search.failed.get(program)
  if (!bits) {
    const bytes = Math.ceil((program.code.length * (search.text.length + 1)) / 8)
    search.noted += bytes
    if (search.noted > mostNoted) throw tooSlow()
    bits = new Uint8Array(bytes)
    search.failed.set(program, bits)
  }
  const bit = bitOf(search, pc, at)
  bits[bit >>> 3] |= 1 << (bit & 7)
}
