/**
 * The studio's server, killed (SIGKILL) under labelling load: `npm run kill:studio`. Environment variables: KILLS (500), SEED.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { killLabelling } from '../support/labelKills.ts'

const folder = mkdtempSync(join(tmpdir(), 'attune-label-kills-'))
afterAll(() => rmSync(folder, { recursive: true }))
const kills = Number(process.env.KILLS ?? 500)
const seed = Number(process.env.SEED ?? 0)

it(`no acknowledged label is lost, none doubled (${kills} kills, seed ${seed})`, async () => {
  const report = await killLabelling(folder, {
    kills,
    seed,
    onKill: ({ kills, acknowledged, repeated, lost, doubled, broken }) => {
      if (kills % 25 === 0)
        console.log(
          `${kills} kills: ${acknowledged} acknowledged, ${repeated} sent again, ${lost.length} lost, ${doubled.length} doubled, ${broken.length} other defects`,
        )
    },
  })
  console.log(report)
  expect(report).toMatchObject({ kills, lost: [], doubled: [], broken: [] })
})
