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
/** Larger inputs are not changed further: most are one part repeated. */
const LARGE = 2 ** 13
const LONGEST_MESSAGE = 2_000

export type Watch = (input: Input) => void

/** What is wrong with how the target takes an input, or undefined; and what it answered, in a word. */
export const tried = async (target: Target, input: Input): Promise<{ problem?: string; outcome: string }> => {
  const begin = performance.now()
  const result = await once(target, input)
  if (result.problem || performance.now() - begin < SLOW) return result
  // by the clock it was slow; the machine may be busy, so the processor is asked
  const used = process.cpuUsage()
  await once(target, input)
  const { user, system } = process.cpuUsage(used)
  const busy = (user + system) / 1000
  return busy > SLOW ? { ...result, problem: `took ${Math.round(busy)} ms` } : result
}

const once = async (target: Target, input: Input): Promise<{ problem?: string; outcome: string }> => {
  try {
    const made = target.run(input)
    return { outcome: `gave ${made instanceof Promise ? await made : made}` }
  } catch (error) {
    const outcome = String((error as Error).message)
      .slice(0, 200)
      .replace(/"[^"]*"|\d+|x:/g, '')
      .slice(0, 80)
    return { problem: problemOf(error), outcome }
  }
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
    if (outcomes.has(outcome) || outcomes.size > 5000 || input.length > LARGE) continue
    outcomes.add(outcome)
    found[found.length < KEPT ? found.length : number % KEPT] = input
  }
}
