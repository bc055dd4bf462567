/** The win rates of a comparison as a table for the terminal: a line for each pair of models and judge. */
import type { CompareFindings } from '../labs/compare/findings.ts'
import { percent } from '../util/format.ts'
import { columns } from './format.ts'

type Pairs = Pick<CompareFindings, 'between' | 'against'>
type Cell = { head: string; text(pair: Pairs['between'][number]): string }

/** Shares of all pairs of completions, ties beside them; a tie counts one half in the win rate. */
const cells: readonly Cell[] = [
  { head: 'model', text: ({ a }) => a },
  { head: 'against', text: ({ b }) => b },
  { head: 'judge', text: ({ judge }) => judge },
  { head: 'wins', text: ({ outcome }) => percent(outcome.wins) },
  { head: 'ties', text: ({ outcome }) => percent(outcome.ties) },
  { head: 'losses', text: ({ outcome }) => percent(outcome.losses) },
  { head: 'win rate', text: ({ winRate }) => percent(winRate.value) },
  { head: '95 %', text: ({ winRate: { low, high } }) => `${percent(low)} to ${percent(high)}` },
]

/** Without wins, ties and losses where the terminal is too narrow. Empty where no pair has been judged on two prompts. */
export const winRateTable = ({ between, against }: Pairs, width: number): string => {
  const pairs = [...between, ...against].filter(({ prompts }) => prompts > 1)
  if (!pairs.length) return ''
  const table = (shown: readonly Cell[]) => {
    const numbers = shown.flatMap(({ head }, i) => (['model', 'against', 'judge'].includes(head) ? [] : [i]))
    return columns(
      [shown.map(({ head }) => head), ...pairs.map((pair) => shown.map(({ text }) => text(pair)))],
      numbers,
    )
  }
  const all = table(cells)
  const isNarrow = all.split('\n').some(({ length }) => length >= width)
  return isNarrow ? table(cells.filter(({ head }) => !['wins', 'ties', 'losses'].includes(head))) : all
}
