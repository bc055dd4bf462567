/**
 * A few cases of the campaigns `kill`, `powerloss` and `torn`: runs that are cut off or find other files than they wrote end
 * as if nothing had happened, or refuse by name.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { failing } from './support/campaign.ts'
import { canTrace, killAndResume } from './support/kills.ts'
import { losePower } from './support/losses.ts'
import { record } from './support/recorded.ts'
import { furnish } from './support/scenarios.ts'
import { tear } from './support/tornFile.ts'
import { openWarm } from './support/warm.ts'

// A dozen short runs, on machines that may be busy
vi.setConfig({ testTimeout: 240_000 })

const root = mkdtempSync(join(tmpdir(), 'attune-damage-'))
const warm = openWarm()
afterAll(() => {
  warm.close()
  rmSync(root, { recursive: true })
})

const inputs = join(root, 'inputs')
const scenarios = furnish(inputs)
const seed = 3

it.each(['spin, triplets', 'rloo, three rewards, evaluated'])(
  'a killed or damaged run ends as an undamaged one or is refused: %s',
  async (name) => {
    const recorded = await record(scenarios.find((scenario) => scenario.name === name)!, root)
    const traced = canTrace()
    const cases = [
      ...[0, 1].map((n) => () => losePower(recorded, warm, { seed, n })),
      ...[0, 1, 2].map((n) => () => tear(recorded, warm, inputs, { seed, n })),
      () => killAndResume(recorded, warm, { seed, n: 0, traced }),
    ]
    const failures: string[] = []
    for (const [i, of] of cases.entries()) {
      const { verdict, why, what } = await of()
      if (failing.has(verdict)) failures.push(`${i}, ${what}: ${verdict}: ${why}`)
    }
    expect(failures).toEqual([])
  },
)
