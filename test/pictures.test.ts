/** The pictures of docs/ are as today's code draws them from the numbers recorded beside them. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from './support/project.ts'

const docs = join(root, 'docs')

it('no picture is stale', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(docs, 'pictures.mjs'), '--check'], { encoding: 'utf8' })
  expect(stderr).toBe('')
  expect(status).toBe(0)
})

it('every picture that a page shows is there', () => {
  const pages = readdirSync(docs).filter((name) => name.endsWith('.md'))
  const shown = pages.flatMap((page) =>
    [...readFileSync(join(docs, page), 'utf8').matchAll(/!\[[^\]]*\]\(([^):]+)\)|\bsrc(?:set)?="([^":]+)"/g)].map(
      ([, path, source]) => path ?? source,
    ),
  )
  expect(shown).toEqual(expect.arrayContaining(['./demo.png', './demo-narrow.png']))
  expect(shown.filter((path) => !existsSync(join(docs, path)))).toEqual([])
})
