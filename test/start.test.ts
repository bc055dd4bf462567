/** `npm start`: it builds and runs the demo, whose folder git does not see. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { demoSchema } from '../src/labs/demo/settings.ts'
import { root } from './support/project.ts'

it('npm start builds and runs the demo', () => {
  const { start } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts
  const [build, command, ...rest] = start.split(' && ')
  expect(build).toBe('npm run build --silent')
  expect(rest).toEqual([])
  const [node, ...args] = command.split(' ')
  expect(node).toBe('node')
  const help = execFileSync(process.execPath, [...args, '--help'], { cwd: root, encoding: 'utf8' })
  expect(help).toMatch(/^Usage: attune demo /)
  expect(help.replace(/\s+/g, ' ')).toMatch(/rankings, by SPIN and by aSFT.* in about a minute/)
})

it('git does not see the folder of the demo', () => {
  expect(readFileSync(join(root, '.gitignore'), 'utf8').split('\n')).toContain(`/${demoSchema.parse({}).output}/`)
})
