/**
 * Runs that are killed (-9) at random moments and at every single change of the disk, and resumed until they end. Each
 * must end with the weights and the log of the run that nobody killed. KILLS and SEED as environment variables.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { rng } from '../../src/util/rng.ts'
import { errorOf, killer, logOf, type Moment, phaseOf, start, weightsOf } from '../support/runs.ts'
import { scenarios } from '../support/scenarios.ts'

const kills = Number(process.env.KILLS ?? 50)
const seed = Number(process.env.SEED ?? 1)
const root = mkdtempSync(join(tmpdir(), 'attune-kill-'))
afterAll(() => rmSync(root, { recursive: true }))

const { uniform } = rng(seed, 0)
let draws = 0
const draw = () => uniform(draws++)

/** Half of them anywhere, half where little time is spent. */
const momentOf = (duration: number): Moment => {
  const names = [
    /^run\.json/,
    /^checkpoints\/step-\d+\.tmp/,
    /^checkpoints\/step-\d+$/,
    /^(model|adapter)\.tmp/,
  ].concat(
    [/^\d+\/\w+-answers/, /^\d+\/\w+-lists/, /^\d+\/(greedy|evaluation)/],
    [/^rollouts\/\d+\/(samples|rewards|rows)/],
  )
  const which = Math.floor(draw() * 16)
  if (which >= names.length) return { at: 'time', ms: draw() * duration * 1.1 }
  return { at: 'file', name: names[which], ms: draw() * 12 }
}

const finished = async (argv: readonly string[], dir: string, cache: string) => {
  const ended = await start(argv, { cache })
  expect(errorOf(ended)).toEqual([])
  expect(ended.code).toBe(0)
  return { ms: ended.ms, weights: weightsOf(dir), log: logOf(dir) }
}

describe(`${kills} kills`, async () => {
  const phases = new Map<string, number>()
  let done = 0
  afterAll(() => console.table([...phases].map(([phase, count]) => ({ 'killed while': phase, count }))))

  it.each(scenarios)('$name', async ({ argv, name }) => {
    const folder = (label: string) => join(root, `${name}-${label}`.replaceAll(/[^\w-]/g, '_'))
    const whole = await finished([...argv, '--output', folder('whole')], folder('whole'), folder('cache'))
    const share = Math.ceil(kills / scenarios.length)
    for (let killed = 0, trial = 0; killed < share; trial++) {
      const [dir, cache] = [folder(`${trial}`), folder(`cache-${trial}`)]
      const threads = trial % 5 === 4 ? ['--threads', '1'] : []
      let before = 0
      for (let attempt = 0; ; attempt++) {
        const again = attempt ? ['--resume', ...threads] : []
        // After three kills it may end
        const watch = before < 3 ? killer(dir, momentOf(whole.ms)) : undefined
        const ended = await start([...argv, '--output', dir, ...again], { cache, watch })
        expect(errorOf(ended), `after ${before} kills of ${dir}`).toEqual([])
        if (ended.code === 0) break
        expect(ended.signal).toBe('SIGKILL')
        phases.set(phaseOf(dir), (phases.get(phaseOf(dir)) ?? 0) + 1)
        before++
        if (trial % 3 === 2) rmSync(cache, { recursive: true, force: true })
      }
      killed += before
      expect(weightsOf(dir), dir).toBe(whole.weights)
      // A run that began anew says with how many threads
      const left = threads.length ? ['start'] : []
      expect(logOf(dir, left)).toEqual(logOf(folder('whole'), left))
      rmSync(dir, { recursive: true })
      done += before
      console.log(`${name}: ${done} kills, all equal`)
    }
  })
})

describe('killed instead of each change of the disk', () => {
  const stride = Number(process.env.STRIDE ?? 1)
  it.each(scenarios.slice(0, 1).concat(scenarios.slice(3)))('$name', async ({ argv, name }) => {
    const base = join(root, `each-${name}`.replaceAll(/[^\w-]/g, '_'))
    const short = [...argv, '--max-steps', '3']
    const whole = await start([...short, '--output', base], {
      cache: `${base}-cache`,
      disk: { count: `${base}.count` },
    })
    expect(whole.code).toBe(0)
    const count = Number(readFileSync(`${base}.count`, 'utf8'))
    const where = new Map<string, number>()
    for (let at = 1; at <= count; at += stride) {
      const [dir, cache] = [`${base}-${at}`, `${base}-${at}-cache`]
      const ended = await start([...short, '--output', dir], { cache, disk: { kill: at, torn: true } })
      expect([ended.signal, ended.stderr], `operation ${at}`).toEqual(['SIGKILL', expect.anything()])
      where.set(phaseOf(dir), (where.get(phaseOf(dir)) ?? 0) + 1)
      const resumed = await start([...short, '--output', dir, '--resume'], { cache })
      expect(errorOf(resumed), `operation ${at}`).toEqual([])
      expect(weightsOf(dir), `operation ${at}`).toBe(weightsOf(base))
      expect(logOf(dir), `operation ${at}`).toEqual(logOf(base))
      rmSync(dir, { recursive: true })
    }
    console.log(`${name}: ${count} operations`)
    console.table([...where].map(([phase, killed]) => ({ 'killed while': phase, killed })))
  })
})
