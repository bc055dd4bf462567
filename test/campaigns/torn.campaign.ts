/**
 * Files that are not what was written: of runs that ended and runs that were killed at any moment, and of what they read.
 * A run that goes on must end as one that nothing happened to, or refuse by name. TORN, SEED, SCENARIO and CASE as
 * environment variables.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { failing, planOf, tallyOf } from '../support/campaign.ts'
import { record } from '../support/recorded.ts'
import { furnish } from '../support/scenarios.ts'
import { tear } from '../support/tornFile.ts'
import { openWarm } from '../support/warm.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-torn-'))
afterAll(() => rmSync(root, { recursive: true }))
const inputs = join(root, 'inputs')
const { seed, each, count } = planOf('TORN', 1000, furnish(inputs))

it(`damaged files are refused or do no harm (${count} cases, seed ${seed})`, async () => {
  const warm = openWarm()
  const [byScenario, byFile] = [tallyOf(), tallyOf()]
  try {
    for (const { scenario, cases } of each) {
      const recorded = await record(scenario, root)
      for (const n of cases) {
        const { verdict, why, what, file } = await tear(recorded, warm, inputs, { seed, n })
        byScenario.count(scenario.name, verdict)
        byFile.count(file, verdict)
        byScenario.tell(failing.has(verdict), `SEED=${seed} CASE=${n} ${scenario.name}, ${what}: ${verdict}`, why)
      }
      rmSync(recorded.root, { recursive: true })
      byScenario.soFar(scenario.name)
    }
  } finally {
    warm.close()
  }
  byFile.print('file')
  byScenario.print('torn files')
  expect(byScenario.failures).toEqual([])
})
