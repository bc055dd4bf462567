/**
 * A wide chart of several curves, as SVG text: linear or logarithmic axes, points with whiskers, bands of intervals. The
 * name of a curve stands beside its end instead of in a legend, moved up or down where ends meet.
 */
import { area, line } from 'd3-shape'
import type { Point } from './lineChart.ts'
import { linearScale, logScale, type Scale } from './scales.ts'
import { escapeText, round, svg, svgText } from './svg.ts'

export type PlotSeries = {
  /** Stands beside the last point; a series without it has no label. */
  name?: string
  points: readonly Point[]
  /** Colour, 0 to 5. */
  color: number
  dashed?: boolean
  /** A dot at each point. */
  dots?: boolean
  /** Points alone, without a line through them. */
  loose?: boolean
  /** [low, high] at each point: whiskers where points are loose, else a band. */
  interval?: readonly Point[]
}

export type Plot = {
  title: string
  /** What is measured, with its unit. */
  x: { name: string; log?: boolean }
  y: { name: string; log?: boolean }
  series: readonly PlotSeries[]
}

type Frame = { left: number; right: number; top: number; bottom: number }

const size = { width: 760, height: 430 }
const wideFrame: Frame = { left: 58, right: 612, top: 34, bottom: 384 }
/** For a phone: the names of the curves stand below the plot, a line each. */
const narrowWidth = 380
const narrowFrame: Frame = { left: 46, right: 360, top: 34, bottom: 300 }
const lineHeight = 15

/**
 * @param narrow drawn for a page of the width of a phone
 * @returns an `<svg>` element. Points that have no place on the scales are left out.
 */
export const plotChart = ({ title, x, y, series }: Plot, narrow = false): string => {
  const frame = narrow ? narrowFrame : wideFrame
  const all = series.flatMap(({ points }) => points)
  const intervals = series.flatMap(({ interval = [] }) => interval.flat()).filter(Number.isFinite)
  const scaleOf = ({ log }: { log?: boolean }) => (log ? logScale : linearScale)
  const xs = scaleOf(x)(
    all.map((point) => point[0]),
    frame.left,
    frame.right,
  )
  const ys = scaleOf(y)([...all.map((point) => point[1]), ...intervals], frame.bottom, frame.top)
  const names = narrow ? legend(series, frame) : endLabels(series, xs, ys, frame)
  const height = narrow ? frame.bottom + 46 + names.length * lineHeight : size.height
  return svg(title, narrow ? narrowWidth : size.width, height, [
    ...grid(xs, ys, frame),
    svgText(0, 12, y.name, 'start', 'name'),
    svgText(frame.right, frame.bottom + 40, x.name, 'end', 'name'),
    ...series.flatMap((each) => drawing(each, xs, ys)),
    ...names,
  ])
}

/** The names of the curves below the plot. */
const legend = (series: readonly PlotSeries[], { left, bottom }: Frame): string[] =>
  series
    .flatMap(({ name, color }) => (name ? [{ name, color }] : []))
    .map(({ name, color }, i) => nameText(name, color, left, bottom + 58 + i * lineHeight))

const nameText = (name: string, color: number, x: number, y: number): string =>
  `<text class="label" style="fill:var(--c${color});font-weight:600" x="${x}" y="${round(y)}">${escapeText(name)}</text>`

/** Drawings of plots, by the same names. */
export const plotCharts = (plots: Readonly<Record<string, Plot>>, narrow = false): Record<string, string> =>
  Object.fromEntries(Object.entries(plots).map(([name, plot]) => [name, plotChart(plot, narrow)]))

/** Units that a label takes at most, and the space beside it. */
const widthOf = (label: string) => 7 * label.length + 6

/** Labels of the axis from left to right, without those that would touch the one before. */
const apart = (xs: Scale): Scale['ticks'] => {
  let end = Number.NEGATIVE_INFINITY
  return xs.ticks.filter(({ value, label }) => {
    const half = widthOf(label) / 2
    if (xs.at(value) - half < end) return false
    end = xs.at(value) + half
    return true
  })
}

const grid = (xs: Scale, ys: Scale, frame: Frame): string[] => [
  ...ys.ticks.flatMap(({ value, label }) => [
    `<path class="grid" d="M${frame.left} ${ys.at(value)}H${frame.right}"/>`,
    svgText(frame.left - 8, ys.at(value) + 4, label, 'end'),
  ]),
  ...xs.ticks.map(({ value }) => `<path class="grid" d="M${xs.at(value)} ${frame.top}V${frame.bottom}"/>`),
  ...apart(xs).map(({ value, label }) => svgText(xs.at(value), frame.bottom + 18, label, 'middle')),
  `<path class="axis" d="M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}"/>`,
]

type Placed = { x: number; y: number; span?: { low: number; high: number } }

const curve = line<Placed>(
  ({ x }) => x,
  ({ y }) => y,
)
const band = area<Placed>(
  ({ x }) => x,
  ({ span }) => span!.low,
  ({ span }) => span!.high,
)

const drawing = (series: PlotSeries, xs: Scale, ys: Scale): string[] => {
  const { points, interval, color, dashed, dots, loose } = series
  const places = points.flatMap(([x, y], i): Placed[] => {
    if (!xs.shows(x) || !ys.shows(y)) return []
    const [low, high] = interval?.[i] ?? [Number.NaN, Number.NaN]
    const span = ys.shows(low) && ys.shows(high) ? { low: ys.at(low), high: ys.at(high) } : undefined
    return [{ x: xs.at(x), y: ys.at(y), span }]
  })
  const spans = places.filter(({ span }) => span)
  const elements: string[] = []
  if (!loose && spans.length > 1)
    elements.push(`<path class="band d${color}" style="fill:var(--c${color})" d="${band(spans)}"/>`)
  if (loose)
    for (const { x, span } of spans)
      elements.push(`<path class="whisker s${color}" d="M${x} ${span!.low}V${span!.high}"/>`)
  if (!loose && places.length > 1)
    elements.push(`<path class="curve s${color}${dashed ? ' dashed' : ''}" d="${curve(places)}"/>`)
  if (dots || loose)
    for (const { x, y } of places) elements.push(`<circle class="d${color}" cx="${x}" cy="${y}" r="3.5"/>`)
  return elements
}

/** Names to the right of the plot, level with the ends of their curves but at least a line apart; a dotted line leads there. */
const endLabels = (series: readonly PlotSeries[], xs: Scale, ys: Scale, frame: Frame): string[] => {
  const ends = series.flatMap(({ name, points, color }) => {
    const end = points.filter(([a, b]) => xs.shows(a) && ys.shows(b)).at(-1)
    return name && end ? [{ name, color, x: xs.at(end[0]), y: ys.at(end[1]), labelY: ys.at(end[1]) }] : []
  })
  ends.sort((a, b) => a.y - b.y)
  ends.forEach((end, i) => {
    end.labelY = Math.max(end.y, i ? ends[i - 1].labelY + lineHeight : frame.top)
  })
  for (let i = ends.length - 1; i >= 0; i--)
    ends[i].labelY = Math.min(ends[i].labelY, i === ends.length - 1 ? frame.bottom : ends[i + 1].labelY - lineHeight)
  return ends.flatMap(({ name, color, x, y, labelY }) => [
    `<path class="s${color}" style="opacity:.5;stroke-dasharray:1 4" d="M${round(x + 4)} ${y}L${frame.right + 14} ${round(labelY)}"/>`,
    nameText(name, color, frame.right + 18, labelY + 4),
  ])
}
