/** Runs the programs in examples/ as a user would, with attune in node_modules. */
import { cpSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { scalingSchema } from '../src/labs/scaling/settings.ts'
import { fixture } from './support/golden.ts'
import { compile, linkCheckout, makeProject, node, type Project, root } from './support/project.ts'

const programs = ['first', 'library', 'kl']

let project: Project
beforeAll(() => {
  project = makeProject('examples')
  linkCheckout(project.dir)
  for (const name of programs) cpSync(join(root, 'examples', `${name}.ts`), join(project.dir, `${name}.ts`))
})
afterAll(() => project.remove())

const run = (name: string) =>
  node(project.dir, [`${name}.js`], {
    MODEL: fixture('models/stories260K'),
    ATTUNE_CACHE: join(project.dir, 'cache'),
  })

it('they have types that fit', async () => expect(await compile(project.dir, { skipLibraries: true })).toBe(''))

it('the first one makes stories happy, and leaves its run in attune-runs', async () => {
  const { stdout, stderr, status } = await run('first')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const [, before, after] = /^before: (\d+) of 50[\s\S]*after: (\d+) of 50\n$/.exec(stdout) ?? []
  expect(Number(before)).toBeLessThan(10)
  expect(Number(after)).toBeGreaterThan(40)
  expect(existsSync(join(project.dir, 'attune-runs', 'grpo-1', 'report.html'))).toBe(true)
})

it('the one with a loss of its own widens the gap', async () => {
  const { stdout, stderr, status } = await run('library')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const gaps = stdout
    .trim()
    .split('\n')
    .map((line) => Number(line.split(' ')[2]))
  expect(gaps.at(-1)).toBeGreaterThan(gaps[0] + 1)
})

it('the one on KL prints the divergence that its estimators find', async () => {
  const { stdout, stderr, status } = await run('kl')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const [exact, k1, , k3] = stdout.split('\n').map((line) => line.split(/\s+/)[1])
  expect(exact).toBe('0.0969535246')
  expect([k1, k3]).toEqual(['0.0970,', '0.0970,'])
})

it.each(['scaling', 'scaling-methods', 'scaling-vocabulary'])('the study %s has settings that are known', (name) => {
  const settings = parse(readFileSync(join(root, 'examples', 'studies', `${name}.yaml`), 'utf8'))
  expect(Object.keys(scalingSchema.strict().parse(settings))).toContain('budgets')
})
