/**
 * Power that goes away at any moment of a run: what the disk may then hold (see powerLoss.ts) is put into its folder, and
 * the run goes on. It must end as one that nothing happened to, or be refused by name; where a sound checkpoint is left, it
 * must end. LOSSES, SEED, SCENARIO and CASE as environment variables.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { failing, planOf, tallyOf } from '../support/campaign.ts'
import { losePower } from '../support/losses.ts'
import { record } from '../support/recorded.ts'
import { furnish } from '../support/scenarios.ts'
import { openWarm } from '../support/warm.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-powerloss-'))
afterAll(() => rmSync(root, { recursive: true }))
const { seed, each, count } = planOf('LOSSES', 200, furnish(join(root, 'inputs')))

it(`runs survive a loss of power (${count} cases, seed ${seed})`, async () => {
  const warm = openWarm()
  const tally = tallyOf()
  try {
    for (const { scenario, cases } of each) {
      const recorded = await record(scenario, root)
      for (const n of cases) {
        const { verdict, why, what, begunAnew } = await losePower(recorded, warm, { seed, n })
        tally.count(scenario.name, verdict)
        if (begunAnew) tally.count(scenario.name, 'checkpoints lost')
        tally.tell(failing.has(verdict), `SEED=${seed} CASE=${n} ${scenario.name}, ${what}: ${verdict}`, why)
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
