/**
 * Verifiers: rewards of 1 where a completion passes a check and 0 where it does not. They read the text alone, so a reader
 * can check what they call right. Where there is nothing to check, the reward has failed.
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

export type Verifier = (completion: CompletionToScore) => Reward

const passed = (isRight: boolean): Reward => ({ value: Number(isRight) })

/** A word and a colon, but no URL and no drive letter of Windows. */
const namesKind = /^[a-z]{2,}:(?!\/\/)/i

const textOf = ({ sample }: CompletionToScore) => sample.text ?? ''

/** The verifier that a spec names; undefined where it names something else. Throws Faults for a bad kind, pattern or schema. */
export const verifier = async (spec: string): Promise<Verifier | undefined> => {
  if (spec === 'arithmetic') return arithmetic
  const [, kind, value] = /^(exact|regex|schema):(.+)$/s.exec(spec) ?? []
  if (kind === 'exact') return exact(value)
  if (kind === 'regex') return pattern(value)
  if (kind === 'schema') return jsonSchema(value)
  if (namesKind.test(spec) && !existsSync(spec))
    throw badInput(
      'bad-flag',
      `${quoted(spec)} is no reward: of this form there are exact:COLUMN, regex:PATTERN and schema:FILE (--reward, --judge)`,
    )
}

/**
 * Equal to a column's value but for white space at the ends. Of a list every value is right. A row without a value to compare
 * with (null, an empty list, an object) gives a failed reward, not a 0.
 */
const exact =
  (column: string): Verifier =>
  (completion) => {
    const right = textsAt(completion.record, column)
    if (!right?.length) return failed(`the column ${quoted(column)} holds no text or number to compare with`)
    return passed(right.includes(textOf(completion).trim()))
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

/** A match anywhere in the text, where the pattern has no anchors. At its beginning (?i) ignores case and (?m) lets ^ and $ match in lines, as in Python. */
const pattern = (source: string): Verifier => {
  const matches = limited(`regex:${source}`, compile(source))
  return (completion) => matches(textOf(completion))
}

/** Characters of a pattern, at most. */
const longestPattern = 10_000

const compile = (source: string): ((text: string) => boolean) => {
  const refuse = (why: string) => badInput('bad-flag', `${quoted(`regex:${source}`)}: ${why} (--reward, --judge)`)
  if (source.length > longestPattern) throw refuse(`a pattern has ${longestPattern} characters at most`)
  try {
    const [, letters = '', pattern] = /^(?:\(\?([im]+)\))?(.*)$/s.exec(source)!
    const regex = new RegExp(pattern, [...new Set(`su${letters}`)].join(''))
    // Some patterns are found to be too large when they are first used
    withinTime(longestCheck, () => regex.test(''))
    return (text) => regex.test(text)
  } catch (error) {
    // The engine repeats the pattern, then says what is wrong
    throw refuse(cut((error as Error).message.replace(/^.*\/\w*: /s, ''), 200))
  }
}

/** JSON that the schema accepts, alone or in a fenced block. */
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
  return (completion) => accepted(textOf(completion))
}

/** Milliseconds that the check of a completion may take, and how many checks may take longer before the run ends. */
const longestCheck = 1000
const slowChecks = 3

/** A user's check (a pattern, a schema) that cannot hold up a run: where it takes too long, the reward has failed. */
const limited = (name: string, check: (text: string) => boolean) => {
  let slow = 0
  return (text: string): Reward => {
    const isRight = withinTime(longestCheck, () => check(text))
    if (isRight !== undefined) return passed(isRight)
    if (++slow === slowChecks)
      throw runFailure('reward', `${quoted(name)} took more than a second on ${slow} completions; write it simpler`, {
        flag: '--reward',
      })
    return failed(`${quoted(name)} took more than a second on a completion`)
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

/** The completion must begin with the result of the prompt's last sum (12+7=). */
const arithmetic: Verifier = (completion) => {
  const asked = lastSum(promptText({}, completion.prompt))
  if (!asked) return failed('arithmetic found no sum in the prompt that it can read for certain')
  const said = numberAtStart(textOf(completion))
  return passed(said !== undefined && equal(said, asked))
}
