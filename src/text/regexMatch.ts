/**
 * Finds all matches of a program in a text, leftmost first as a backtracking engine would, in time linear in the text:
 * a place of the program that failed at a position fails there for ever (nothing is captured), so once a search gets
 * long the matcher writes failures down and never tries them again. `(a+)+$` cannot hang it.
 * (Selective memoization: Davis, Servant, Lee, "Using selective memoization to defeat ReDoS", IEEE S&P 2021.)
 */
import { badInput } from '../util/fault.ts'
import { width } from './pieces.ts'
import { wordClass } from './regexParse.ts'
import type { Instruction, Program } from './regexProgram.ts'

type Search = { text: string; steps: number; memoFrom: number; most: number; failed: Map<Program, Uint8Array> }

/** Bounds of the matches, [start, end] flat. An empty match counts unless another match ends there. */
export const findAll = (program: Program, text: string): number[] => {
  const size = text.length + 200
  const search: Search = { text, steps: 0, memoFrom: 64 * size, most: 500 * size, failed: new Map() }
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
  return matches
}

/** The end of the match that begins at `start`, or -1. */
const run = (search: Search, program: Program, start: number): number => {
  const { text } = search
  const { code } = program
  // Pairs (pc, position) still to try. A pc of -1 - p marks that all of p's choices at that position have failed.
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
  badInput('slow-pattern', 'a pattern of the tokenizer takes too long on this text; shorten the text')

const step = (search: Search, instruction: Instruction, at: number): number => {
  if (instruction.op === 'atomic') return run(search, instruction.program, at)
  if (instruction.op === 'edge') return onEdge(search.text, instruction.kind, at) ? at : -1
  if (instruction.op !== 'look') return -1
  const from = stepBack(search.text, at, instruction.behind)
  const found = from >= 0 && run(search, instruction.program, from) >= 0
  return found !== instruction.negate ? at : -1
}

const stepBack = (text: string, at: number, chars: number): number => {
  for (; chars > 0 && at > 0; chars--) at -= at > 1 && width(text, at - 2) === 2 ? 2 : 1
  return chars > 0 ? -1 : at
}

const wordChar = new RegExp(wordClass, 'v')

const onEdge = (text: string, kind: (Instruction & { op: 'edge' })['kind'], at: number): boolean => {
  if (kind === 'start') return at === 0
  if (kind === 'end') return at === text.length
  if (kind === 'endLine') return at === text.length || (at === text.length - 1 && text[at] === '\n')
  if (kind === 'lineStart') return at === 0 || (text[at - 1] === '\n' && at < text.length)
  if (kind === 'lineEnd') return at === text.length || text[at] === '\n'
  const before = at > 0 && wordChar.test(String.fromCodePoint(text.codePointAt(stepBack(text, at, 1))!))
  const after = at < text.length && wordChar.test(String.fromCodePoint(text.codePointAt(at)!))
  return (before !== after) === (kind === 'word')
}

const bitOf = (search: Search, pc: number, at: number) => pc * (search.text.length + 1) + at

const hasFailed = (search: Search, program: Program, pc: number, at: number): boolean => {
  const bits = search.failed.get(program)
  const bit = bitOf(search, pc, at)
  return bits !== undefined && (bits[bit >>> 3] & (1 << (bit & 7))) !== 0
}

const noteFailure = (search: Search, program: Program, pc: number, at: number) => {
  let bits = search.failed.get(program)
  if (!bits) {
    if (program.code.length * search.text.length > 2 ** 30) throw tooSlow()
    bits = new Uint8Array(Math.ceil((program.code.length * (search.text.length + 1)) / 8))
    search.failed.set(program, bits)
  }
  const bit = bitOf(search, pc, at)
  bits[bit >>> 3] |= 1 << (bit & 7)
}
