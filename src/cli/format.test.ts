/** Text in lines for the terminal. */
import { expect, it } from 'vitest'
import { commandLines, paragraph, wrapped } from './format.ts'

const text =
  'It answers 600 other sums, 12 times each. A checker ranks the different answers to a sum, the nearest first.'

it.each([40, 60, 80, 200])('a paragraph fits %i columns and breaks no word', (columns) => {
  const lines = paragraph(text, columns, 3).split('\n')
  for (const line of lines) {
    expect(line.length).toBeLessThan(columns)
    expect(line).toMatch(/^ {3}\S/)
  }
  expect(lines.map((line) => line.trim()).join(' ')).toBe(text)
})

it('colours take no room', () => {
  const bold = (word: string) => `\u001b[1m${word}\u001b[22m`
  const plain = wrapped('one two three four', 10, 0)
  expect(wrapped(['one', 'two', 'three', 'four'].map(bold).join(' '), 10, 0)).toBe(plain.replace(/\w+/g, bold))
})

it('a command is continued by backslashes, and what a shell reads stays the same', () => {
  const command = 'attune dpo --model MODEL --data rankings.jsonl --lora-r 16'
  const lines = commandLines(command, 40, 3).split('\n')
  expect(lines).toEqual(['   attune dpo --model MODEL --data \\', '   rankings.jsonl --lora-r 16'])
  expect(lines.join('\n').replaceAll('\\\n', '').trim().split(/\s+/).join(' ')).toBe(command)
  expect(commandLines(command, 80, 0)).toBe(command)
  expect(commandLines("attune compare --data 'held out rows.jsonl' --judge JUDGE", 36, 0)).toBe(
    "attune compare --data \\\n'held out rows.jsonl' --judge \\\nJUDGE",
  )
})
