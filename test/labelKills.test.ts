/** The studio's server is killed under labelling load: no acknowledged label is lost, none is doubled. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { killLabelling } from './support/labelKills.ts'

it('acknowledged labels survive a killed server, once (npm run kill:studio does it 500 times)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-label-kills-'))
  try {
    const report = await killLabelling(folder, { kills: 3, seed: 0 })
    expect(report).toMatchObject({ kills: 3, lost: [], doubled: [], broken: [] })
    expect(report.acknowledged).toBeGreaterThan(5)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
