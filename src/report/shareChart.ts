/** Shares with their intervals, one below the other on a scale from 0 to 100 %, as SVG text. */
import { percent } from '../util/format.ts'
import { linearScale } from './scales.ts'
import { round, svg, svgText } from './svg.ts'

const width = 400
const frame = { right: 382, top: 6, row: 38 }
/** Of the widest font that a system may substitute. */
const characterWidth = 7
/** Half the width of "100.0 %", which would reach beyond the right edge. */
const halfValue = 26

/** A share with its confidence interval, all in [0, 1]. */
type Share = { share: number; low: number; high: number }

/** @param rows from top to bottom, with a colour of 0 to 5 */
export const shareChart = (title: string, rows: readonly { name: string; share: Share; color: number }[]): string => {
  const left = Math.max(52, 10 + characterWidth * Math.max(...rows.map(({ name }) => name.length)))
  const x = linearScale([0, 1], left, frame.right).at
  const bottom = frame.top + rows.length * frame.row
  return svg(title, width, bottom + 24, [
    ...[0, 25, 50, 75, 100].flatMap((tick) => [
      `<path class="grid" d="M${x(tick / 100)} ${frame.top}V${bottom}"/>`,
      svgText(x(tick / 100), bottom + 18, `${tick} %`, 'middle'),
    ]),
    ...rows.flatMap(({ name, share, color }, i) => {
      const y = round(frame.top + (i + 0.62) * frame.row)
      return [
        svgText(0, y + 4, name, 'start', 'name'),
        `<path class="whisker s${color}" d="M${x(share.low)} ${y}H${x(share.high)}M${x(share.low)} ${y - 5}v10M${x(share.high)} ${y - 5}v10"/>`,
        `<circle class="d${color}" cx="${x(share.share)}" cy="${y}" r="4"/>`,
        svgText(Math.min(x(share.share), width - halfValue), y - 10, percent(share.share, 1), 'middle', 'value'),
      ]
    }),
  ])
}
