/**
 * Runs of every method that are killed (SIGKILL) and resumed until they end: `npm run kill`.
 * They are killed at random times, when files appear, at disk operations and at system calls. A second test restores, from the
 * log of disk operations, the states that a kill can leave. Each run must end with the result and the log of an uninterrupted
 * run. Environment variables: KILLS, REPLAYED, SEED, SCENARIO, CASE. Kills by time are not exactly repeatable.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { planOf, tallyOf } from '../support/campaign.ts'
import { canTrace, killAndResume, resumeAfter } from '../support/kills.ts'
import { record } from '../support/recorded.ts'
import { writeInputs } from '../support/scenarios.ts'
import { openWarm } from '../support/warm.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-kill-'))
afterAll(() => rmSync(root, { recursive: true }))
const scenarios = writeInputs(join(root, 'inputs'))
const { seed, each, count } = planOf('KILLS', 100, scenarios)

it(`killed and resumed runs end as uninterrupted ones (${count} kills, seed ${seed})`, async () => {
  const traced = canTrace()
  if (!traced) console.log('strace is not there: no kills at system calls')
  const warm = openWarm()
  const [byScenario, byPhase] = [tallyOf(), tallyOf()]
  try {
    for (const { scenario, cases } of each) {
      const recorded = await record(scenario, root)
      // Some runs are killed more than once, and some end before the kill
      for (let killed = 0, i = 0; killed < cases.length; i++) {
        const n = cases[0] + i * (cases[1] - cases[0] || 1)
        const { result, why, what, kills } = await killAndResume(recorded, warm, { seed, n, traced })
        killed += process.env.CASE ? 1 : kills.length
        byScenario.count(scenario.name, result)
        for (const { by, phase } of kills) {
          byScenario.count(scenario.name, by)
          byPhase.count(phase, 'kills')
        }
        byScenario.tell(result !== 'equal', `SEED=${seed} CASE=${n} ${scenario.name}, ${what}: ${result}`, why)
      }
      rmSync(recorded.root, { recursive: true })
      byScenario.soFar(scenario.name)
    }
  } finally {
    warm.close()
  }
  byPhase.print('killed while')
  byScenario.print('kills')
  expect(byScenario.failures).toEqual([])
})

const replays = planOf('REPLAYED', 200, scenarios)

it(`runs resume from every state that a kill can leave on disk (${replays.count} replays, seed ${seed})`, async () => {
  const warm = openWarm()
  const tally = tallyOf()
  try {
    for (const { scenario, cases } of replays.each) {
      const recorded = await record(scenario, root)
      for (const n of cases) {
        const { result, why, what } = await resumeAfter(recorded, warm, { seed, n })
        tally.count(scenario.name, result)
        tally.tell(result !== 'equal', `SEED=${seed} CASE=${n} ${scenario.name}, ${what}: ${result}`, why)
      }
      rmSync(recorded.root, { recursive: true })
      tally.soFar(scenario.name)
    }
  } finally {
    warm.close()
  }
  tally.print('kills, replayed')
  expect(tally.failures).toEqual([])
})
