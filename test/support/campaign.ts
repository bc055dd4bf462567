/**
 * Shared code of the campaigns: cases from a seed and a number, the check of a resumed run, and the table at the end.
 * Environment variables of all campaigns: SEED, SCENARIO (a pattern of names), CASE (one number).
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { rng } from '../../src/util/rng.ts'
import { type Ended, errorOf, logOf } from './runs.ts'
import type { Scenario } from './scenarios.ts'

/** A sequence of random numbers for one case. */
export type Draws = { below(n: number): number; pick<T>(list: readonly T[]): T; part(): number }

export const drawsOf = (seed: number, ...stream: number[]): Draws => {
  const { uniform } = rng(seed, ...stream)
  let drawn = 0
  const part = () => uniform(drawn++)
  const below = (n: number) => Math.floor(part() * n)
  return { part, below, pick: (list) => list[below(list.length)] }
}

export type Plan = {
  seed: number
  /** The number of cases in all scenarios. */
  count: number
  /** The scenarios, each with the numbers of its cases. */
  each: readonly { scenario: Scenario; cases: readonly number[] }[]
}

/** Case n uses scenario n modulo their number. @param fallback the number of cases if the variable `name` is not set */
export const planOf = (name: string, fallback: number, scenarios: readonly Scenario[]): Plan => {
  const { SEED = '1', SCENARIO = '', CASE } = process.env
  const total = Number(process.env[name] ?? fallback)
  const all = CASE === undefined ? Array.from({ length: total }, (_, i) => i) : [Number(CASE)]
  const each = scenarios
    .map((scenario, s) => ({ scenario, cases: all.filter((n) => n % scenarios.length === s) }))
    .filter(({ scenario, cases }) => cases.length && new RegExp(SCENARIO).test(scenario.name))
  return { seed: Number(SEED), count: each.reduce((sum, { cases }) => sum + cases.length, 0), each }
}

/** SHA-256 of each result file, and the log without times. */
export type Outcome = ReadonlyMap<string, string>

export const outcomeOf = (dir: string, { results }: Pick<Scenario, 'results'>): Outcome => {
  const found = new Map<string, string>()
  for (const name of results.flatMap((result) => filesBelow(dir, result)))
    found.set(name, name === 'events.jsonl' ? logWithoutCache(dir) : sha256(join(dir, name)))
  return found
}

/** The log without warnings about the cache, which do not change the result. */
const logWithoutCache = (dir: string) =>
  logOf(dir)
    .filter((line) => !line.includes('["code","cache"]'))
    .join('\n')

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')

/** Paths relative to `dir`. */
const filesBelow = (dir: string, name: string): string[] => {
  const path = join(dir, name)
  if (!existsSync(path)) return []
  if (!statSync(path).isDirectory()) return [name]
  return readdirSync(path)
    .sort()
    .flatMap((entry) => filesBelow(dir, join(name, entry)))
}

export type RunResult = 'equal' | 'refused' | 'different' | 'defect' | 'not refused by name' | 'hung'
export const failing: ReadonlySet<RunResult> = new Set(['different', 'defect', 'not refused by name', 'hung'])

/** Compares a resumed run with an uninterrupted one. @returns the result, and the reason if they are not equal */
export const resultOf = (
  ended: Ended & { hung?: boolean },
  outcome: () => Outcome,
  whole: Outcome,
): { result: RunResult; why: string } => {
  const [error, ...more] = errorOf(ended)
  if (ended.hung) return { result: 'hung', why: `after ${Math.round(ended.ms / 1000)} seconds` }
  const crashed = ended.code === null || !/^error: /m.test(ended.stderr)
  if (ended.code === 0) {
    const other = differenceOf(outcome(), whole)
    return other === undefined ? { result: 'equal', why: '' } : { result: 'different', why: other }
  }
  if (crashed || /This is a defect/.test(ended.stderr)) return { result: 'defect', why: ended.stderr.slice(0, 400) }
  const named = ended.code === 2 || /writes this run since/.test(error)
  if (!named || more.length) return { result: 'not refused by name', why: `${ended.code}: ${error}` }
  return { result: 'refused', why: error }
}

const differenceOf = (is: Outcome, was: Outcome): string | undefined => {
  const name = [...new Set([...was.keys(), ...is.keys()])].find((key) => is.get(key) !== was.get(key))
  if (name === undefined) return undefined
  const [a, b] = [was.get(name), is.get(name)]
  if (a === undefined || b === undefined) return `${name} ${a === undefined ? 'is new' : 'is missing'}`
  const [before, after] = [a.split('\n'), b.split('\n')]
  const line = before.findIndex((text, i) => text !== after[i])
  return name === 'events.jsonl' ? `${name}: ${before[line]} became ${after[line]}` : `${name} differs`
}

/** A table of counts by row and column, and the failures. */
export const tallyOf = () => {
  const rows = new Map<string, Map<string, number>>()
  const failures: string[] = []
  return {
    count(row: string, column: string, n = 1) {
      const columns = rows.get(row) ?? rows.set(row, new Map()).get(row)!
      columns.set(column, (columns.get(column) ?? 0) + n)
    },
    /** Prints a case that failed or has a reason to show. */
    tell(failed: boolean, text: string, why: string) {
      if (failed) failures.push(`${text}: ${why}`)
      if (failed || why) console.log(`${failed ? 'FAILED ' : ''}${text}: ${why.trimEnd()}`)
    },
    failures,
    soFar: (row: string) => console.log(`${row}:`, Object.fromEntries(rows.get(row) ?? [])),
    print(title: string) {
      const names = [...new Set([...rows.values()].flatMap((columns) => [...columns.keys()]))]
      const line = (row: string, columns: ReadonlyMap<string, number>) => ({
        [title]: row,
        ...Object.fromEntries(names.map((name) => [name, columns.get(name) ?? 0])),
      })
      const total = new Map(
        names.map((name) => [name, [...rows.values()].reduce((sum, columns) => sum + (columns.get(name) ?? 0), 0)]),
      )
      console.table([...[...rows].map(([row, columns]) => line(row, columns)), line('all', total)])
    },
  }
}

/** Turns a name into a folder name. */
export const folderName = (name: string) => name.replaceAll(/[^\w-]+/g, '_')
