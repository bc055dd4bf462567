/**
 * Loss of power at any moment of a run: `npm run powerloss`.
 * A state that the disk may then hold (see powerLoss.ts) is written into the folder of the run, and the run is resumed. It must
 * end as an uninterrupted one or be refused with the name of the damaged file. If a sound checkpoint is left, it must end.
 * Environment variables: LOSSES, SEED, SCENARIO, CASE.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { failing, planOf, tallyOf } from '../support/campaign.ts'
import { losePower } from '../support/losePower.ts'
import { record } from '../support/recorded.ts'
import { writeInputs } from '../support/scenarios.ts'
import { openWarm } from '../support/warm.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-powerloss-'))
afterAll(() => rmSync(root, { recursive: true }))
const { seed, each, count } = planOf('LOSSES', 200, writeInputs(join(root, 'inputs')))

it(`runs survive a loss of power (${count} cases, seed ${seed})`, async () => {
  const warm = openWarm()
  const tally = tallyOf()
  try {
    for (const { scenario, cases } of each) {
      const recorded = await record(scenario, root)
      for (const n of cases) {
        const { result, why, what, begunAnew } = await losePower(recorded, warm, { seed, n })
        tally.count(scenario.name, result)
        if (begunAnew) tally.count(scenario.name, 'checkpoints lost')
        tally.tell(failing.has(result), `SEED=${seed} CASE=${n} ${scenario.name}, ${what}: ${result}`, why)
      }
      rmSync(recorded.root, { recursive: true })
      tally.soFar(scenario.name)
    }
  } finally {
    warm.close()
  }
  tally.print('losses of power')
  expect(tally.failures).toEqual([])
})
