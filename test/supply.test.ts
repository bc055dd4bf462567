/** Dependencies of attune: pinned by hash, with a permissive licence, and listed in NOTICE. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from './support/project.ts'

type Locked = { version: string; integrity?: string; resolved?: string; license?: string; hasInstallScript?: boolean }
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, Locked> }
const locked = Object.entries(lock.packages).filter(([path]) => path)

it('every package in the lockfile has a SHA-512 hash and no download address', () => {
  expect(locked.length).toBeGreaterThan(100)
  expect(locked.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? '')).map(([path]) => path)).toEqual([])
  expect(locked.flatMap(([, { resolved }]) => resolved ?? [])).toEqual([])
})

/** package-lock.json has the field `license`, but not the field `licenses` of older packages. */
const licenseOf = ([path, { license }]: [string, Locked]) =>
  license ?? JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')).licenses?.[0]?.type

it('every package has a licence that allows use and redistribution', () => {
  const allowed = ['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', '(MIT OR CC0-1.0)', 'MPL-2.0']
  const others = ['MIT OR Apache-2.0', 'BlueOak-1.0.0', 'CC0-1.0', 'Python-2.0', 'PSF-2.0', 'Unlicense']
  // Of the page: a font, and a library under one of two licences
  const ofPage = ['OFL-1.1', '(MPL-2.0 OR Apache-2.0)']
  const licenses = locked.map((each) => ({ path: each[0], license: licenseOf(each) }))
  const strange = licenses.filter(({ license }) => !license || ![...allowed, ...others, ...ofPage].includes(license))
  expect(strange.map(({ path, license }) => `${path} ${license}`)).toEqual([])
})

it('NOTICE lists the current packages and licences', () => {
  const dir = mkdtempSync(join(tmpdir(), 'attune-notice-'))
  execFileSync(process.execPath, [join(root, 'docs/notice.mjs'), join(dir, 'NOTICE')])
  expect(readFileSync(join(root, 'NOTICE'), 'utf8'), 'npm run notice').toBe(readFileSync(join(dir, 'NOTICE'), 'utf8'))
  rmSync(dir, { recursive: true })
})
