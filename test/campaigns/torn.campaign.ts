/**
 * Damaged files of runs and of their inputs: `npm run torn`.
 * The runs have ended or were killed at any moment. A resumed run must end as one without damage, or be refused with the name of
 * the file. Environment variables: TORN, SEED, SCENARIO, CASE.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { failing, planOf, tallyOf } from '../support/campaign.ts'
import { record } from '../support/recorded.ts'
import { writeInputs } from '../support/scenarios.ts'
import { tear } from '../support/tornFile.ts'
import { openWarm } from '../support/warm.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-torn-'))
afterAll(() => rmSync(root, { recursive: true }))
const inputs = join(root, 'inputs')
const { seed, each, count } = planOf('TORN', 1000, writeInputs(inputs))

it(`damaged files are refused or do no harm (${count} cases, seed ${seed})`, async () => {
  const warm = openWarm()
  const [byScenario, byFile] = [tallyOf(), tallyOf()]
  try {
    for (const { scenario, cases } of each) {
      const recorded = await record(scenario, root)
      for (const n of cases) {
        const { result, why, what, file } = await tear(recorded, warm, inputs, { seed, n })
        byScenario.count(scenario.name, result)
        byFile.count(file, result)
        byScenario.tell(failing.has(result), `SEED=${seed} CASE=${n} ${scenario.name}, ${what}: ${result}`, why)
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
