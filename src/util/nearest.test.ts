/** Suggestions of "did you mean": near, or none. */
import { expect, it } from 'vitest'
import { nearest } from './nearest.ts'

const commands = ['sft', 'dpo', 'kto', 'demo', 'generate', 'best-of-n']
const flags = ['--wpo', '--loss', '--learning-rate', '--model', '--temperature', '--top-k', '--top-p']

it.each([
  ['dop', commands, 'dpo'],
  ['genrate', commands, 'generate'],
  ['gen', commands, 'generate'],
  ['foo', commands, undefined],
  ['d', commands, undefined],
  ['--modle', flags, '--model'],
  ['--lerning-rate', flags, '--learning-rate'],
  ['--temp', flags, '--temperature'],
  ['--foo', flags, undefined],
  ['--lr', flags, undefined],
  ['--top', flags, undefined],
  ['x', [], undefined],
])('%s', (name, names, near) => {
  expect(nearest(name, names)).toBe(near)
})
