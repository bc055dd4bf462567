/**
 * A small chart of one or two curves over steps, as SVG text. d3 computes scales and paths; the elements are written as
 * text, because chart libraries that draw need a DOM or a canvas, which Node does not have.
 */
import { line } from 'd3-shape'
import { linearScale } from './scales.ts'
import { round, svg, svgText } from './svg.ts'

export type Point = readonly [x: number, y: number]

type Series = {
  name: string
  points: readonly Point[]
  /** Colour, 0 or 1. */
  color?: number
  /** Single measurements behind their smoothed curve. */
  faint?: boolean
}

export type Chart = {
  title: string
  /** What the axes measure, units included. */
  x: string
  y: string
  series: readonly Series[]
  /** Values to compare with, as dashed lines; the name stands above its line, or below. */
  guides?: readonly { value: number; name: string; below?: boolean }[]
  /** The least and the greatest value of the y axis; by default those of the points and guides. */
  range?: readonly [low: number, high: number]
}

const size = { width: 400, height: 240 }
/** `left` at least: longer labels of the y axis get more room. */
const frame = { left: 44, right: 384, top: 34, bottom: 196 }
/** More points than this no screen shows. */
const mostPoints = 500
/** Of the widest font that a system may substitute. */
const characterWidth = 7.5
const digitWidth = 7

/** The exponentially weighted mean at each point: a value counts half as much as one `halfLife` points later. */
export const smooth = (points: readonly Point[], halfLife = points.length / 60): Point[] => {
  const keep = 0.5 ** (1 / Math.max(halfLife, 0.5))
  let [sum, weight] = [0, 0]
  return points.map(([x, y]) => {
    sum = keep * sum + y
    weight = keep * weight + 1
    return [x, sum / weight]
  })
}

/** Single measurements, faint, and their smoothed curve. */
export const measured = (name: string, points: readonly Point[], color = 0): Series[] => [
  { name: `each ${name}`, points, color, faint: true },
  { name: 'smoothed', points: smooth(points), color },
]

/** @returns an `<svg>` element. Points that are not finite are left out. */
export const lineChart = (chart: Chart): string => {
  const { guides = [], range } = chart
  const series = chart.series.map((each) => ({ ...each, points: thinned(each.points) }))
  const all = series.flatMap(({ points }) => points)
  const ys = linearScale(
    range ?? [...all.map(([, y]) => y), ...guides.map(({ value }) => value)],
    frame.bottom,
    frame.top,
  )
  const longestLabel = Math.max(...ys.ticks.map(({ label }) => label.length))
  const left = Math.max(frame.left, 8 + digitWidth * longestLabel)
  const xs = linearScale(
    all.map(([x]) => x),
    left,
    frame.right,
    { nice: false, count: 6 },
  )
  const row = (value: number, name: string) => `<path class="${name}" d="M${left} ${ys.at(value)}H${frame.right}"/>`
  const path = line<Point>(
    ([x]) => xs.at(x),
    ([, y]) => ys.at(y),
  )
  return svg(chart.title, size.width, size.height, [
    ...ys.ticks.flatMap(({ value, label }, i) => [
      row(value, i ? 'grid' : 'axis'),
      svgText(left - 8, ys.at(value) + 4, label, 'end'),
    ]),
    ...xs.ticks.map(({ value, label }) => svgText(xs.at(value), frame.bottom + 18, label, 'middle')),
    svgText(0, 12, chart.y, 'start', 'name'),
    svgText(frame.right, size.height - 6, chart.x, 'end', 'name'),
    ...guides.flatMap(({ value, name, below }) => [
      row(value, 'guide'),
      svgText(frame.right, ys.at(value) + (below ? 12 : -5), name, 'end'),
    ]),
    ...series.map((each) => `<path class="curve ${look(each)}" d="${path(each.points) ?? ''}"/>`),
    ...legend(series),
  ])
}

const thinned = (points: readonly Point[]): Point[] => {
  const finite = points.filter((point) => point.every(Number.isFinite))
  const every = Math.ceil(finite.length / mostPoints)
  return finite.filter((_, i) => i % every === 0 || i === finite.length - 1)
}

/** Classes of its colour. */
const look = ({ color = 0, faint }: Series) => `s${color}${faint ? ' faint' : ''}`

/** Names of the curves, at the top right; one curve needs none. */
const legend = (series: readonly Series[]): string[] => {
  let right = frame.right
  return (series.length > 1 ? [...series].reverse() : []).flatMap((each) => {
    const text = svgText(right, 12, each.name, 'end')
    right -= characterWidth * each.name.length + 6
    const swatch = `<path class="curve ${look(each)}" d="M${round(right - 14)} 8h14"/>`
    right -= 26
    return [swatch, text]
  })
}
