/**
 * Rewards that are facts: 1 where an answer passes, 0 where it does not. Peculiar: they read the text alone, so what they
 * call right a reader can check; where there is nothing to check they fail.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { badInput } from '../../util/fault.ts'
import { promptText } from './prompts.ts'
import { type Answered, failed, type Reward } from './rewards.ts'

export type Verifier = (answer: Answered) => Reward

const passes = (right: boolean): Reward => ({ value: Number(right) })

/** A word and a colon, but no URL and no drive of Windows. */
const looksNamed = /^[a-z]{2,}:(?!\/\/)/i

const textOf = ({ sample }: Answered) => sample.text ?? ''

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
      `${JSON.stringify(spec)} is no reward: of this form there are exact:COLUMN, regex:PATTERN and schema:FILE (--reward, --judge)`,
    )
}

/** Equal to a column's value but for white space at the ends; a list is of answers that are all right. */
const exact =
  (column: string): Verifier =>
  (answer) => {
    const right = [answer.record[column]].flat().map((value) => String(value).trim())
    return passes(right.includes(textOf(answer).trim()))
  }

/** Found anywhere in the text; anchors say otherwise. */
const pattern = (source: string): Verifier => {
  const compiled = compile(source)
  return (answer) => passes(compiled.test(textOf(answer)))
}

const compile = (source: string): RegExp => {
  try {
    return new RegExp(source, 'su')
  } catch (error) {
    throw badInput('bad-flag', `regex:${source}: ${(error as Error).message} (--reward, --judge)`)
  }
}

/** JSON that a schema accepts, alone or in a fenced block. */
const jsonSchema = async (file: string): Promise<Verifier> => {
  const schema = await readSchema(file)
  return (answer) => {
    const text = textOf(answer)
    const block = /```(?:json)?\n(.*?)```/s.exec(text)?.[1] ?? text
    try {
      return passes(schema.safeParse(JSON.parse(block)).success)
    } catch {
      return passes(false)
    }
  }
}

const readSchema = async (file: string): Promise<z.ZodType> => {
  const text = await readFile(file, 'utf8').catch((error) => {
    throw badInput('no-file', `cannot be read (${error.code}); --reward schema: takes a JSON schema`, { file })
  })
  try {
    return z.fromJSONSchema(JSON.parse(text))
  } catch (error) {
    throw badInput('bad-file', `is no JSON schema: ${(error as Error).message}`, { file })
  }
}

/** The last sum of the prompt (12+7=), worked out; the answer must begin with its result. */
const arithmetic: Verifier = (answer) => {
  const asked = promptText({}, answer.prompt)
    .match(/-?\d+(?:\s*[-+*]\s*-?\d+)+/g)
    ?.at(-1)
  const said = /^\s*=?\s*(-?\d+)(?!\d)/.exec(textOf(answer))?.[1]
  if (asked === undefined) return failed('arithmetic found no sum in the prompt')
  return passes(said !== undefined && workOut(asked) === BigInt(said))
}

/** Products before sums, from the left. */
const workOut = (expression: string): bigint => {
  const tokens = expression.replaceAll(/\s/g, '').match(/(?<=\d)[-+*]|-?\d+/g)!
  const terms: bigint[] = [BigInt(tokens[0])]
  for (let i = 1; i < tokens.length; i += 2) {
    const value = BigInt(tokens[i + 1])
    if (tokens[i] === '*') terms.push(terms.pop()! * value)
    else terms.push(tokens[i] === '-' ? -value : value)
  }
  return terms.reduce((a, b) => a + b, 0n)
}
