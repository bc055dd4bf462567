/**
 * Runs a fuzz target.
 * Findings are: an error that is not a Fault, a Fault of several lines, an input that takes too long, and a process that takes too
 * much memory. An input that gives a new value or refusal is kept and changed further.
 */
import { HTTPException } from 'hono/http-exception'
import { Fault } from '../../src/util/fault.ts'
import { randomOf } from './random.ts'
import type { Input, Target } from './targets.ts'

export type Finding = { input: Input; number: number; problem: string }

/** The limit of CPU time for one input, in milliseconds. */
const SLOW = 2_000
const MEMORY = 1.5 * 2 ** 30
const KEPT = 200
/** Larger inputs are not changed further, since most only repeat a part. */
const LARGE = 2 ** 13
const LONGEST_MESSAGE = 2_000

export type Watch = (input: Input) => void

/** Runs one input. @returns the problem, if any, and a short description of the outcome */
export const tried = async (target: Target, input: Input): Promise<{ problem?: string; outcome: string }> => {
  const begin = performance.now()
  const result = await once(target, input)
  if (result.problem || performance.now() - begin < SLOW) return result
  // Slow by wall time, but the machine may be busy, so CPU time decides
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

/** Runs `inputs` inputs. Each is a function of seed, target, its number and the inputs found interesting before. */
export async function* fuzz(
  target: Target,
  seed: number,
  inputs: number,
  watch: Watch = () => {},
): AsyncGenerator<Finding> {
  const outcomes = new Set<string>()
  const found: Input[] = []
  const before = process.memoryUsage.rss()
  for (let number = 0; number < inputs; number++) {
    const input = target.make(randomOf(`${seed} ${target.name} ${number}`), found)
    watch(input)
    const { problem, outcome } = await tried(target, input)
    if (problem) yield { input, number, problem }
    // Other tests may have left much in this process
    const more = number % 1024 === 0 ? process.memoryUsage.rss() - before : 0
    if (more > MEMORY) yield { input, number, problem: `the process takes ${more} bytes more` }
    if (outcomes.has(outcome) || outcomes.size > 5000 || input.length > LARGE) continue
    outcomes.add(outcome)
    found[found.length < KEPT ? found.length : number % KEPT] = input
  }
}
