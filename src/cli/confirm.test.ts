/** The question before a deletion. */
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { confirmed } from './confirm.ts'

const terminal = (typed: string, isTerminal = true) => {
  const input = new PassThrough()
  input.end(typed)
  const output = new PassThrough()
  return { input, output, isTerminal }
}

it.each([
  ['y\n', true],
  ['Yes\n', true],
  ['n\n', false],
  ['\n', false],
  ['', false],
])('the answer %j means %s', async (typed, is) => {
  const at = terminal(typed)
  expect(await confirmed(false, 'delete the run a', at)).toBe(is)
  expect(String(at.output.read())).toBe('Delete the run a? [y/N] ')
})

it('--yes asks nothing, and without a terminal it is needed', async () => {
  expect(await confirmed(true, 'delete the run a', terminal('', false))).toBe(true)
  await expect(confirmed(false, 'delete the run a', terminal('y\n', false))).rejects.toThrow(
    /^--yes: is needed to delete the run a/,
  )
})
