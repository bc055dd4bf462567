import { expect, it } from 'vitest'
import { winRateTable } from './winRateTable.ts'

type Pair = Parameters<typeof winRateTable>[0]['between'][number]
const pair = (a: string, judge: string, wins: number, prompts = 10) =>
  ({
    ...{ a, b: 'base', judge, prompts, outcome: { wins, ties: 0.5 - wins / 2, losses: 0.5 - wins / 2 } },
    winRate: { value: wins + (0.5 - wins / 2) / 2, low: 0.1, high: 0.95 },
  }) as Pair

it('win rates stand below each other, without their parts where there is no room', () => {
  const found = { between: [pair('long-name', 'regex', 0.5), pair('b', 'alone', 1, 1)], against: [pair('x', 'j', 0)] }
  expect(winRateTable(found, 100)).toBe(
    [
      'model      against  judge  wins  ties  losses  win rate          95 %',
      'long-name  base     regex  50 %  25 %    25 %      63 %  10 % to 95 %',
      'x          base     j       0 %  50 %    50 %      25 %  10 % to 95 %',
    ].join('\n'),
  )
  expect(winRateTable(found, 60).split('\n')[1]).toBe('long-name  base     regex      63 %  10 % to 95 %')
  expect(winRateTable({ between: [], against: [] }, 100)).toBe('')
})
