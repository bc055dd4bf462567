/**
 * Rewards that are facts: 1 where an answer passes, 0 where it does not. Peculiar: they read the text alone, so what they
 * call right a reader can check; where there is nothing to check they fail.
 */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { promptText } from '../data/prompts.ts'
import { badInput, runFailure } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'
import { withinTime } from '../util/withinTime.node.ts'
import { numberText } from '../util/written.ts'
import { equal, lastSum, numberAtStart } from './arithmetic.ts'
import { type CompletionToScore, failed, type Reward } from './rewards.ts'

export type Verifier = (answer: CompletionToScore) => Reward

const passes = (right: boolean): Reward => ({ value: Number(right) })

/** A word and a colon, but no URL and no drive of Windows. */
const looksNamed = /^[a-z]{2,}:(?!\/\/)/i

const textOf = ({ sample }: CompletionToScore) => sample.text ?? ''

/** The verifier that a spec names; undefined where it names something else. Throws Faults for a bad kind, pattern or schema. */
export const verifier = async (spec: string): Promise<Verifier | undefined> => {
  if (spec === 'arithmetic') return arithmetic
  const [, kind, value] = /^(exact|regex|schema):(.+)$/s.exec(spec) ?? []
  if (kind === 'exact') return exact(value)
  if (kind === 'regex') return pattern(value)
  if (kind === 'schema') return jsonSchema(value)
  if (looksNamed.test(spec) && !existsSync(spec))
    throw badInput(
      'bad-flag',
      `${quoted(spec)} is no reward: of this form there are exact:COLUMN, regex:PATTERN and schema:FILE (--reward, --judge)`,
    )
}

/**
 * Equal to a column's value but for white space at the ends; a list is of answers that are all right. A row without a value
 * to compare with (null, an empty list, an object) has no reward: that is a failure, not a 0.
 */
const exact =
  (column: string): Verifier =>
  (answer) => {
    const right = textsAt(answer.record, column)
    if (!right?.length) return failed(`the column ${quoted(column)} holds no text or number to compare with`)
    return passes(right.includes(textOf(answer).trim()))
  }

/** The texts of a column, numbers as the file wrote them; undefined where it holds anything else. */
const textsAt = (holder: object, key: string | number): string[] | undefined => {
  const value = (holder as Record<string, unknown>)[key]
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) {
    const texts = value.map((_, i) => textsAt(value, i))
    return texts.includes(undefined) ? undefined : (texts as string[][]).flat()
  }
  if (typeof value === 'object') return undefined
  return [(numberText(holder, key) ?? String(value)).trim()]
}

/** Found anywhere in the text; anchors say otherwise. */
const pattern = (source: string): Verifier => {
  const matches = limited(`regex:${source}`, compile(source))
  return (answer) => matches(textOf(answer))
}

/** Characters of a pattern; no one writes longer ones. */
const longestPattern = 10_000

const compile = (source: string): ((text: string) => boolean) => {
  const refuse = (why: string) => badInput('bad-flag', `${quoted(`regex:${source}`)}: ${why} (--reward, --judge)`)
  if (source.length > longestPattern) throw refuse(`a pattern has ${longestPattern} characters at most`)
  try {
    const regex = new RegExp(source, 'su')
    // Some patterns are found to be too large when they are first used
    withinTime(longestCheck, () => regex.test(''))
    return (text) => regex.test(text)
  } catch (error) {
    // The engine repeats the pattern, then says what is wrong
    throw refuse(cut((error as Error).message.replace(/^.*\/\w*: /s, ''), 200))
  }
}

/** JSON that a schema accepts, alone or in a fenced block. */
const jsonSchema = async (file: string): Promise<Verifier> => {
  const schema = await readSchema(file)
  const accepted = limited(`schema:${file}`, (text) => {
    const block = /```(?:json)?\n(.*?)```/s.exec(text)?.[1] ?? text
    try {
      return schema.safeParse(JSON.parse(block)).success
    } catch (error) {
      // JSON that is nested too deeply for the check counts as wrong, like JSON that is none
      if (error instanceof SyntaxError || error instanceof RangeError) return false
      throw error
    }
  })
  return (answer) => accepted(textOf(answer))
}

/** Milliseconds that a check of one answer may take, and how many may take longer before the run ends. */
const longestCheck = 1000
const slowChecks = 3

/** A check of one's own making (a pattern, a schema) that cannot hold up a run: an answer that takes it too long fails. */
const limited = (name: string, check: (text: string) => boolean) => {
  let slow = 0
  return (text: string): Reward => {
    const right = withinTime(longestCheck, () => check(text))
    if (right !== undefined) return passes(right)
    if (++slow === slowChecks)
      throw runFailure('reward', `${quoted(name)} took more than a second on ${slow} answers; write it simpler`, {
        flag: '--reward',
      })
    return failed(`${quoted(name)} took more than a second on an answer`)
  }
}

const readSchema = async (file: string): Promise<z.ZodType> => {
  const text = await readFile(file, 'utf8').catch((error) => {
    throw badInput('no-file', `cannot be read (${error.code}); --reward schema: takes a JSON schema`, { file })
  })
  try {
    return z.fromJSONSchema(JSON.parse(text))
  } catch (error) {
    throw badInput('bad-file', `is no JSON schema: ${cut((error as Error).message, 200)}`, { file })
  }
}

/** The last sum of the prompt (12+7=), worked out; the answer must begin with its result. */
const arithmetic: Verifier = (answer) => {
  const asked = lastSum(promptText({}, answer.prompt))
  if (!asked) return failed('arithmetic found no sum in the prompt that it can read for certain')
  const said = numberAtStart(textOf(answer))
  return passes(said !== undefined && equal(said, asked))
}
