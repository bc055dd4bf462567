/**
 * The short form of the campaigns kill, powerloss and torn.
 * Runs that are killed, or that find damaged files, end as undamaged ones or are refused with the name of the file.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { failing } from './support/campaign.ts'
import { canTrace, killAndResume } from './support/kills.ts'
import { losePower } from './support/losePower.ts'
import { record } from './support/recorded.ts'
import { writeInputs } from './support/scenarios.ts'
import { tear } from './support/tornFile.ts'
import { openWarm } from './support/warm.ts'

// A dozen short runs, possibly on a busy machine
vi.setConfig({ testTimeout: 240_000 })

const root = mkdtempSync(join(tmpdir(), 'attune-damage-'))
const warm = openWarm()
afterAll(() => {
  warm.close()
  rmSync(root, { recursive: true })
})

const inputs = join(root, 'inputs')
const scenarios = writeInputs(inputs)
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
      const { result, why, what } = await of()
      if (failing.has(result)) failures.push(`${i}, ${what}: ${result}: ${why}`)
    }
    expect(failures).toEqual([])
  },
)
