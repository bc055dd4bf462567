/** A forest plot as SVG text: win rates with their intervals, one row for each judge under the heading of its pair. */
import { linearScale } from '../../report/scales.ts'
import { svg, svgText } from '../../report/svg.ts'
import { percent } from '../../util/format.ts'
import type { PairFindings } from './findings.ts'
import { significance } from './verdicts.ts'

type Frame = { width: number; left: number; right: number; top: number; heading: number; row: number }

const wideFrame: Frame = { width: 760, left: 190, right: 600, top: 26, heading: 30, row: 34 }
/** For a phone: the name of a judge stands above its bar instead of beside it. */
const narrowFrame: Frame = { width: 380, left: 14, right: 250, top: 26, heading: 30, row: 54 }

/** @param pairs findings of the same pair of policies stand next to each other   @param narrow drawn for the width of a phone */
export const forestChart = (title: string, pairs: readonly PairFindings[], narrow = false): string => {
  const frame = narrow ? narrowFrame : wideFrame
  const x = linearScale([0, 1], frame.left, frame.right).at
  let y = frame.top
  let heading = ''
  const rows = pairs.flatMap((pair, i) => {
    const name = `${pair.a} over ${pair.b}`
    const head = name === heading ? [] : [svgText(0, (y += frame.heading) - 4, name, 'start', 'value')]
    heading = name
    y += frame.row
    return [...head, ...rowOf(pair, y - 17, x, { color: judgeColor(pairs, i), frame, narrow })]
  })
  const bottom = y + 10
  return svg(title, frame.width, bottom + 24, [
    ...[0, 25, 50, 75, 100].flatMap((tick) => [
      `<path class="${tick === 50 ? 'guide' : 'grid'}" d="M${x(tick / 100)} ${frame.top}V${bottom}"/>`,
      svgText(x(tick / 100), bottom + 18, percent(tick / 100), 'middle'),
    ]),
    svgText(frame.right + 16, frame.top - 8, 'win rate', 'start', 'name'),
    svgText(frame.width, frame.top - 8, narrow ? 'p' : 'p, corrected', 'end', 'name'),
    ...rows,
  ])
}

const judgeColor = (pairs: readonly PairFindings[], i: number) =>
  [...new Set(pairs.map(({ judge }) => judge))].indexOf(pairs[i].judge) % 6

type RowStyle = { color: number; frame: Frame; narrow: boolean }

const rowOf = (
  pair: PairFindings,
  y: number,
  x: (rate: number) => number,
  { color, frame, narrow }: RowStyle,
): string[] => {
  const { winRate, controlled, corrected, judge } = pair
  const p = Number.isFinite(corrected) ? corrected.toPrecision(2) : '–'
  const bar = ({ low, high }: { low: number; high: number }, at: number, name: string) =>
    `<path class="${name}" d="M${x(Math.max(0, low))} ${at}H${x(Math.min(1, high))}"/>`
  return [
    narrow ? svgText(0, y - 14, judge, 'start', 'name') : svgText(frame.left - 12, y + 4, judge, 'end', 'name'),
    bar(winRate, y, `whisker s${color}`),
    `<circle class="d${color}" cx="${x(winRate.value)}" cy="${y}" r="4.5"/>`,
    ...(controlled
      ? [
          bar(controlled.winRate, y + 9, `curve s${color} faint`),
          `<path class="s${color}" d="M${x(controlled.winRate.value)} ${y + 5.5}v7"/>`,
        ]
      : []),
    svgText(frame.right + 16, y + 4, percent(winRate.value), 'start', corrected < significance ? 'value' : 'name'),
    svgText(frame.width, y + 4, p, 'end', corrected < significance ? 'value' : 'name'),
  ]
}
