/** The page of `attune check`: findings with their rows, and tokens by their use. */
import { expect, it } from 'vitest'
import { checkPage, isPushedAway } from './checkPage.ts'

const token = (text: string, use: 'trained' | 'context' | 'cut', more = {}) => ({
  ...{ id: 7, text, use, special: false, stop: false },
  ...more,
})

it('shows the findings first, then every token by its use, and escapes what rows say', () => {
  const page = checkPage({
    method: 'dpo',
    model: 'a/b',
    files: ['pairs.jsonl'],
    command: 'attune check --for dpo',
    rows: [
      {
        event: 'row',
        where: { file: 'data/pairs.jsonl', line: 3, row: 2 },
        sequences: [
          {
            name: 'chosen',
            tokens: [
              token('<script>', 'context', { special: true }),
              token(' yes', 'trained', { stop: true }),
              token(' no', 'cut'),
            ],
          },
          { name: 'rejected', tokens: [token(' maybe', 'trained'), token(' so', 'context')] },
        ],
      },
    ],
    sums: {
      ...{ event: 'check' as const, rows: 9, used: 8, evalRows: 0, longest: 3, tokens: 20, trained: 5, maxLength: 64 },
      findings: [
        {
          ...{ code: 'equal-replies', severity: 'ruins' as const, count: 8, of: 8, first: { row: 1 } },
          ...{ message: 'the same', advice: 'look' },
        },
      ],
    },
  })
  expect(page).toContain('This run would be ruined: 1 reason')
  expect(page.indexOf('equal-replies')).toBeLessThan(page.indexOf('pairs.jsonl, line 3, row 2'))
  expect(page).toContain('<span class="special" title="7">&#60;script&#62;</span>')
  expect(page).toContain('<span class="trained stop" title="7"> yes</span>')
  expect(page).toContain('<span class="cut" title="7"> no</span>')
  expect(page).toContain('<span class="away" title="7"> maybe</span>')
  expect(page).toContain('<span class="away">pushed away</span>')
  expect(page).toContain('<span class="context" title="7"> so</span>')
  expect(page).not.toMatch(/<script|https?:/)
})

it('the worse response of a pair and the worst of a list are pushed away, equal ones are not', () => {
  const away = (...names: string[]) =>
    names.map((_, at) =>
      isPushedAway(
        names.map((name) => ({ name })),
        at,
      ),
    )
  expect(away('chosen', 'rejected')).toEqual([false, true])
  expect(away('good')).toEqual([false])
  expect(away('bad')).toEqual([true])
  expect(away('rank 1', 'rank 2', 'rank 3')).toEqual([false, false, true])
  expect(away('rank 1', 'rank 1')).toEqual([false, false])
  expect(away('text')).toEqual([false])
})
