/** Curves as SVG, from a pure function: the kept libraries draw on a canvas or ask for a DOM, which Node does not have. */
import { round, shortNumber, svg, svgText } from './svg.ts'
import { ticks } from './ticks.ts'

export type Point = readonly [x: number, y: number]

export type Series = {
  name: string
  points: readonly Point[]
  /** Colour, 0 or 1. */
  color?: number
  /** Single measurements behind the curve through their middle. */
  faint?: boolean
}

export type Chart = {
  title: string
  /** What the axes measure, units included. */
  x: string
  y: string
  series: readonly Series[]
  /** Values to compare with; names stand above their lines, or below. */
  guides?: readonly { value: number; name: string; below?: boolean }[]
  /** The least and the greatest value that the y axis shows; else what the points need. */
  range?: readonly [low: number, high: number]
}

const size = { width: 400, height: 240 }
const frame = { left: 44, right: 384, top: 34, bottom: 196 }
/** More points than this are more than a screen shows. */
const mostPoints = 500
/** Of the widest fonts that may stand in. */
const characterWidth = 7.5

/** At each point the mean of all up to it, of which each counts half as much as one `halfLife` later. */
export const smooth = (points: readonly Point[], halfLife = points.length / 60): Point[] => {
  const keep = 0.5 ** (1 / Math.max(halfLife, 0.5))
  let [sum, weight] = [0, 0]
  return points.map(([x, y]) => {
    sum = keep * sum + y
    weight = keep * weight + 1
    return [x, sum / weight]
  })
}

/** Measurements and the curve through them. */
export const measured = (name: string, points: readonly Point[], color = 0): Series[] => [
  { name: `each ${name}`, points, color, faint: true },
  { name: 'smoothed', points: smooth(points), color },
]

/** @returns an `<svg>` element. Points that are not finite are left out. */
export const lineChart = (chart: Chart): string => {
  const series = chart.series.map((each) => ({ ...each, points: thinned(each.points) }))
  const at = scales(chart, series)
  const row = (value: number, name: string) =>
    `<path class="${name}" d="M${frame.left} ${at.y(value)}H${frame.right}"/>`
  return svg(chart.title, size.width, size.height, [
    ...at.yTicks.flatMap((tick, i) => [
      row(tick, i ? 'grid' : 'axis'),
      svgText(frame.left - 8, at.y(tick) + 4, shortNumber(tick), 'end'),
    ]),
    ...at.xTicks.map((tick) => svgText(at.x(tick), frame.bottom + 18, shortNumber(tick), 'middle')),
    svgText(0, 12, chart.y, 'start', 'name'),
    svgText(frame.right, size.height - 6, chart.x, 'end', 'name'),
    ...(chart.guides ?? []).flatMap(({ value, name, below }) => [
      row(value, 'guide'),
      svgText(frame.right, at.y(value) + (below ? 12 : -5), name, 'end'),
    ]),
    ...series.map(
      (each) => `<path class="curve ${look(each)}" d="${path(each.points.map(([x, y]) => [at.x(x), at.y(y)]))}"/>`,
    ),
    ...legend(series),
  ])
}

const thinned = (points: readonly Point[]): Point[] => {
  const finite = points.filter((point) => point.every(Number.isFinite))
  const every = Math.ceil(finite.length / mostPoints)
  return finite.filter((_, i) => i % every === 0 || i === finite.length - 1)
}

/** Places of values, and the round ones among them. */
const scales = ({ guides = [], range }: Chart, series: readonly Series[]) => {
  const all = series.flatMap(({ points }) => points)
  const [x0, x1] = extent(all.map(([x]) => x))
  const yTicks = ticks(...(range ?? extent([...all.map(([, y]) => y), ...guides.map(({ value }) => value)])))
  const [y0, y1] = [yTicks[0], yTicks.at(-1)!]
  return {
    x: (value: number) => round(frame.left + ((frame.right - frame.left) * (value - x0)) / (x1 - x0 || 1)),
    y: (value: number) => round(frame.bottom - ((frame.bottom - frame.top) * (value - y0)) / (y1 - y0)),
    xTicks: ticks(x0, x1, 6).filter((tick) => tick >= x0 && tick <= x1),
    yTicks,
  }
}

const extent = (values: readonly number[]): [number, number] =>
  values.length ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] : [0, 1]

const look = ({ color = 0, faint }: Series) => `s${color}${faint ? ' faint' : ''}`

const path = (points: readonly Point[]): string => points.map(([x, y], i) => `${i ? 'L' : 'M'}${x} ${y}`).join('')

/** Names to the right above the curves; one curve needs none. */
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
