import { describe, expect, it } from 'vitest'
import { commandWithRate, rangeTestTable } from './rangeTestTable.ts'

const screen = { live: false, color: false, columns: () => 80, write: () => {}, now: () => 0 }

describe('the table of a range test', () => {
  const tried = Array.from({ length: 40 }, (_, i) => ({
    ...{ event: 'rate' as const, step: i + 1, total_steps: 50, learning_rate: 1e-7 * 1.5 ** i },
    ...{ loss: 1, change: i < 25 ? -i / 50 : i / 4 },
  }))
  const found = { event: 'found-lr' as const, knee: 1, fall: 1, start: 2, diverged: true, message: '' }

  it('marks where most of the fall was made, has few lines, and fits the screen', () => {
    const lines = rangeTestTable(screen, tried, found).split('\n')
    expect(lines.length).toBeLessThanOrEqual(20)
    expect(lines.filter((line) => line.endsWith('9/10 of the fall'))).toHaveLength(1)
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(80)
  })
})

describe('the command to type next', () => {
  it('has the rate instead of the range test and of another rate', () => {
    const argv = ['sft', '--find-lr', '--data', 'my rows.jsonl', '--learning-rate', '1', '--json', '--lora-r', '8']
    expect(commandWithRate(argv, 2e-4)).toBe("attune sft --data 'my rows.jsonl' --lora-r 8 --learning-rate 0.0002")
    expect(commandWithRate(['dpo', '--learning-rate=1'], 1e-7)).toBe('attune dpo --learning-rate 1e-7')
  })
})
