/**
 * A plot wide enough for several curves, as SVG: axes linear or logarithmic, points with whiskers, bands of intervals.
 * Peculiar: names stand beside their curves' ends, moved apart where ends meet, so no legend has to be matched by colour.
 */
import { type Axis, linearAxis, logAxis } from './axes.ts'
import type { Point } from './lineChart.ts'
import { escapeText, round, svg, svgText } from './svg.ts'

export type PlotSeries = {
  /** Beside the last point; none without it. */
  name?: string
  points: readonly Point[]
  /** 0 to 5. */
  color: number
  dashed?: boolean
  /** A dot at each point. */
  dots?: boolean
  /** No line. */
  loose?: boolean
  /** The interval at each point, as whiskers where points are loose, else as a band. */
  interval?: readonly Point[]
}

export type Plot = {
  title: string
  /** What is measured, with its unit. */
  x: { name: string; log?: boolean }
  y: { name: string; log?: boolean }
  series: readonly PlotSeries[]
}

const size = { width: 760, height: 430 }
const frame = { left: 58, right: 612, top: 34, bottom: 384 }
const lineHeight = 15

/** @returns an `<svg>` element. Points that have no place on their axes are left out. */
export const plotChart = ({ title, x, y, series }: Plot): string => {
  const all = series.flatMap(({ points }) => points)
  const intervals = series.flatMap(({ interval = [] }) => interval.flat()).filter(Number.isFinite)
  const axisOf = ({ log }: { log?: boolean }) => (log ? logAxis : linearAxis)
  const xs = axisOf(x)(
    all.map((point) => point[0]),
    frame.left,
    frame.right,
  )
  const ys = axisOf(y)([...all.map((point) => point[1]), ...intervals], frame.bottom, frame.top)
  return svg(title, size.width, size.height, [
    ...grid(xs, ys),
    svgText(0, 12, y.name, 'start', 'name'),
    svgText(frame.right, size.height - 6, x.name, 'end', 'name'),
    ...series.flatMap((each) => drawing(each, xs, ys)),
    ...endLabels(series, xs, ys),
  ])
}

/** By the same names. */
export const drawn = (plots: Readonly<Record<string, Plot>>): Record<string, string> =>
  Object.fromEntries(Object.entries(plots).map(([name, plot]) => [name, plotChart(plot)]))

const grid = (xs: Axis, ys: Axis): string[] => [
  ...ys.ticks.flatMap(({ value, label }) => [
    `<path class="grid" d="M${frame.left} ${ys.at(value)}H${frame.right}"/>`,
    svgText(frame.left - 8, ys.at(value) + 4, label, 'end'),
  ]),
  ...xs.ticks.flatMap(({ value, label }) => [
    `<path class="grid" d="M${xs.at(value)} ${frame.top}V${frame.bottom}"/>`,
    svgText(xs.at(value), frame.bottom + 18, label, 'middle'),
  ]),
  `<path class="axis" d="M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}"/>`,
]

const line = (places: readonly Point[]) => places.map(([a, b], i) => `${i ? 'L' : 'M'}${a} ${b}`).join('')

const drawing = ({ points, interval, color, dashed, dots, loose }: PlotSeries, xs: Axis, ys: Axis): string[] => {
  const shown = points.flatMap((point, i) => (xs.covers(point[0]) && ys.covers(point[1]) ? [{ point, i }] : []))
  const places = shown.map(({ point: [a, b] }): Point => [xs.at(a), ys.at(b)])
  const spans = shown.flatMap(({ point: [a], i }) => {
    const span = interval?.[i]
    return span?.every(ys.covers) ? [{ x: xs.at(a), low: ys.at(span[0]), high: ys.at(span[1]) }] : []
  })
  const outline = [
    ...spans.map(({ x, high }): Point => [x, high]),
    ...spans.reverse().map(({ x, low }): Point => [x, low]),
  ]
  return [
    ...(spans.length > 1 && !loose
      ? [`<path class="band d${color}" style="fill:var(--c${color})" d="${line(outline)}Z"/>`]
      : []),
    ...(loose ? spans.map(({ x, low, high }) => `<path class="whisker s${color}" d="M${x} ${low}V${high}"/>`) : []),
    ...(loose || places.length < 2
      ? []
      : [`<path class="curve s${color}${dashed ? ' dashed' : ''}" d="${line(places)}"/>`]),
    ...(dots || loose ? places.map(([a, b]) => `<circle class="d${color}" cx="${a}" cy="${b}" r="3.5"/>`) : []),
  ]
}

/** Names to the right of the frame, at their curves' ends but a line apart; the leader says whose it is. */
const endLabels = (series: readonly PlotSeries[], xs: Axis, ys: Axis): string[] => {
  const ends = series.flatMap(({ name, points, color }) => {
    const end = points.filter(([a, b]) => xs.covers(a) && ys.covers(b)).at(-1)
    return name && end ? [{ name, color, x: xs.at(end[0]), y: ys.at(end[1]), at: ys.at(end[1]) }] : []
  })
  ends.sort((a, b) => a.y - b.y)
  ends.forEach((end, i) => {
    end.at = Math.max(end.y, i ? ends[i - 1].at + lineHeight : frame.top)
  })
  for (let i = ends.length - 1; i >= 0; i--)
    ends[i].at = Math.min(ends[i].at, i === ends.length - 1 ? frame.bottom : ends[i + 1].at - lineHeight)
  return ends.flatMap(({ name, color, x, y, at }) => [
    `<path class="s${color}" style="opacity:.5;stroke-dasharray:1 4" d="M${round(x + 4)} ${y}L${frame.right + 14} ${round(at)}"/>`,
    `<text class="label" style="fill:var(--c${color});font-weight:600" x="${frame.right + 18}" y="${round(at + 4)}">${escapeText(name)}</text>`,
  ])
}
