/**
 * Feeds a target: what is thrown and is no fault, a fault that is no single line, an input over its time, and a process
 * over its memory are findings. An input that gives a new answer or refusal is kept and changed further.
 */
import { HTTPException } from 'hono/http-exception'
import { Fault } from '../../src/util/fault.ts'
import { randomOf } from './random.ts'
import type { Input, Target } from './targets.ts'

export type Finding = { input: Input; number: number; problem: string }

/** Milliseconds of the processor for one input, however busy the machine is. */
const SLOW = 2_000
const MEMORY = 1.5 * 2 ** 30
const KEPT = 200
const LONGEST_MESSAGE = 2_100

export type Watch = (input: Input) => void

/** What is wrong with how the target takes an input, or undefined; and what it answered, in a word. */
export const tried = async (target: Target, input: Input): Promise<{ problem?: string; outcome: string }> => {
  const begin = process.cpuUsage()
  const busy = () => {
    const { user, system } = process.cpuUsage(begin)
    return (user + system) / 1000
  }
  const begun = performance.now()
  let problem: string | undefined
  let outcome: string
  try {
    const made = target.run(input)
    outcome = `gave ${made instanceof Promise ? await made : made}`
  } catch (error) {
    problem = problemOf(error)
    outcome = (error as Error).message?.replace(/"[^"]*"|\d+|x:/g, '').slice(0, 80)
  }
  // only what took long by the clock is asked how long it took of the processor
  if (performance.now() - begun > SLOW && busy() > SLOW) problem ??= `took ${Math.round(busy())} ms`
  return { problem, outcome }
}

const problemOf = (error: unknown): string | undefined => {
  if (error instanceof HTTPException) return undefined
  if (!(error instanceof Fault)) return (error as Error)?.stack?.split('\n').slice(0, 4).join(' ') ?? String(error)
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(error.message)) return `a message of several lines: ${JSON.stringify(error.message)}`
  if (error.message.length > LONGEST_MESSAGE) return `a message of ${error.message.length} characters`
  return undefined
}

/** Runs `inputs` inputs; each is a function of the seed, the target, its number and what was found before it. */
export async function* fuzz(
  target: Target,
  seed: number,
  inputs: number,
  watch: Watch = () => {},
): AsyncGenerator<Finding> {
  const outcomes = new Set<string>()
  const found: Input[] = []
  for (let number = 0; number < inputs; number++) {
    const input = target.make(randomOf(`${seed} ${target.name} ${number}`), found)
    watch(input)
    const { problem, outcome } = await tried(target, input)
    if (problem) yield { input, number, problem }
    if (number % 1024 === 0 && process.memoryUsage.rss() > MEMORY)
      yield { input, number, problem: `the process takes ${process.memoryUsage.rss()} bytes` }
    if (outcomes.has(outcome) || outcomes.size > 5000) continue
    outcomes.add(outcome)
    found[found.length < KEPT ? found.length : number % KEPT] = input
  }
}
