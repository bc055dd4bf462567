/**
 * Random and changed inputs to every reader of untrusted files and messages: `npm run fuzz`.
 *   INPUTS=20000000   over all targets together, by their weights     SEED=1     TARGET=csv,torch   only these
 *   TARGET=csv FILE=fuzz-findings/csv-1-77.bin npm run fuzz           the saved input again
 * Every finding is saved under fuzz-findings/ and printed with the command that runs it again.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { fuzz, tried } from '../fuzz/run.ts'
import { type Input, targets } from '../fuzz/targets.ts'
import { watchdog } from '../fuzz/watchdog.ts'

const { INPUTS = '200000', SEED = '1', TARGET, FILE } = process.env
const folder = 'fuzz-findings'
const STUCK = 30
/** A target stops after this many findings. */
const ENOUGH = 10

const chosen = targets.filter(({ name }) => !TARGET || TARGET.split(',').includes(name))
const whole = chosen.reduce((sum, { weight }) => sum + weight, 0)
const say = (line: string) => process.stderr.write(`${line}\n`)

if (FILE)
  it.each(chosen)(`$name reads ${FILE} without a problem`, async (target) => {
    const bytes = readFileSync(FILE)
    expect((await tried(target, target.isText ? bytes.toString() : bytes)).problem).toBeUndefined()
  })
else
  it.each(chosen)('$name reads random input without a problem', async (target) => {
    mkdirSync(folder, { recursive: true })
    const saved = (number: number | string) => join(folder, `${target.name}-${SEED}-${number}.bin`)
    const inputs = Math.round((Number(INPUTS) * target.weight) / whole)
    const dog = watchdog(saved('stuck'), STUCK)
    const begin = performance.now()
    const used = process.cpuUsage()
    const problems: string[] = []
    let last: Input = ''
    for await (const { input, number, problem } of fuzz(target, Number(SEED), inputs, (input) =>
      dog.watch((last = input)),
    )) {
      writeFileSync(saved(number), input)
      say(`${target.name}: ${problem}\n  again: TARGET=${target.name} FILE=${saved(number)} npm run fuzz`)
      problems.push(problem)
      if (problems.length >= ENOUGH) break
    }
    await dog.end()
    const { user, system } = process.cpuUsage(used)
    const seconds = `${((performance.now() - begin) / 1000).toFixed(0)} s (${((user + system) / 1e6).toFixed(1)} of the processor)`
    say(`${target.name}: ${inputs} inputs, ${seconds}, ${problems.length} findings (last input ${last.length})`)
    expect(problems).toEqual([])
  })
