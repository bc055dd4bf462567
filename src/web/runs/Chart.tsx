/** One chart: a metric of one run or several, drawn by uPlot. Dragging over it zooms all charts of the page. */
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Axis, Curve } from '../../studio/runs/api.ts'
import { duration, number } from '../ui/format.ts'
import { useTheme } from '../ui/theme.ts'

export type Range = readonly [from: number, to: number]

type Props = {
  title: string
  curves: readonly Curve[]
  /** Runs in the order of their colours. */
  runs: readonly string[]
  axis: Axis
  logX: boolean
  logY: boolean
  range: Range | undefined
  onRange(range: Range | undefined): void
}

/** Charts with the same key show their values at the same place. */
const together = 'runs'
const height = 224
const dashes = [[], [6, 4], [2, 3]]

const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 4 })

const shownX = (axis: Axis, value: number) =>
  axis === 'time' ? duration(value) : Math.abs(value) >= 10_000 ? short.format(value) : number(value)

export const Chart = (props: Props) => {
  const { title, curves, runs, axis, logX, logY, range } = props
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const latest = useRef(props)
  latest.current = props
  const lines = linesOf(curves, runs)
  // A chart is made anew where its curves are others, and else gets new numbers
  const shape = JSON.stringify([title, axis, logX, logY, lines.map(({ name, kind }) => [name, kind])])
  const data = joined(lines, logX, logY)
  const [theme] = useTheme()

  useEffect(() => {
    const element = place.current!
    const made = new uPlot(optionsOf(latest, element.clientWidth), dataOf(latest), element)
    plot.current = made
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height })
    })
    observer.observe(element)
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const redraw = () => made.redraw(false)
    dark.addEventListener('change', redraw)
    return () => {
      dark.removeEventListener('change', redraw)
      observer.disconnect()
      made.destroy()
      plot.current = undefined
    }
    // `shape` says all that the options are made of
  }, [shape])
  useEffect(() => plot.current?.setData(data), [data, range])
  useEffect(() => plot.current?.redraw(false), [theme])

  return <div ref={place} className="chart" role="img" aria-label={summary(title, lines)} />
}

type Line = {
  name: string
  kind: 'faint' | 'line' | 'held'
  run: number
  x: readonly number[]
  y: readonly number[]
}

/** Smoothed curves stand before the values that they were made of. */
const linesOf = (curves: readonly Curve[], runs: readonly string[]): Line[] =>
  curves.flatMap(({ run, part, x, y, smooth }): Line[] => {
    const index = runs.indexOf(run)
    const own = runs.length > 1 ? `${run}, ` : ''
    if (part === 'held out') return [{ name: `${own}held out`, kind: 'held', run: index, x, y }]
    if (!smooth) return [{ name: `${own}training`, kind: 'line', run: index, x, y }]
    return [
      { name: `${own}each`, kind: 'faint', run: index, x, y },
      { name: `${own}smoothed`, kind: 'line', run: index, ...smooth },
    ]
  })

const joined = (lines: readonly Line[], logX: boolean, logY: boolean): uPlot.AlignedData => {
  if (lines.length === 0) return [[], []]
  const tables = lines.map(({ x, y }): uPlot.AlignedData => {
    const kept = x.map((_, i) => i).filter((i) => (!logX || x[i] > 0) && (!logY || y[i] > 0))
    return kept.length === x.length ? [x as number[], y as number[]] : [kept.map((i) => x[i]), kept.map((i) => y[i])]
  })
  return uPlot.join(tables)
}

const dataOf = ({ current: { curves, runs, logX, logY } }: { current: Props }) =>
  joined(linesOf(curves, runs), logX, logY)

/** Colours by run; of a single run training and held-out rows have one each. */
const strokeOf = ({ kind, run }: Line, runs: number) => {
  const index = runs > 1 ? run : kind === 'held' ? 1 : 0
  return () => color(`--c${index % 6}`)
}

const optionsOf = (props: { readonly current: Props }, width: number): uPlot.Options => {
  const { curves, runs, axis, logX, logY } = props.current
  const soft = () => color('--soft')
  const font = `12px ${color('--font')}`
  const grid = { stroke: () => color('--line'), width: 1 }
  const lines = linesOf(curves, runs)
  return {
    width,
    height,
    padding: [8, 8, 0, 0],
    legend: { live: true },
    cursor: {
      sync: { key: together, setSeries: false },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      // A curve without a value where the mouse is shows its nearest
      dataIdx: (plot, series, hovered) => nearest(plot.data[series], hovered),
      bind: {
        dblclick: () => () => {
          props.current.onRange(undefined)
          return null
        },
      },
    },
    scales: {
      x: {
        time: false,
        distr: logX ? 3 : 1,
        range: (_, low, high) => {
          const shown = props.current.range
          if (shown) return [shown[0], shown[1]]
          return low === high ? [low - 1, high + 1] : [low, high]
        },
      },
      y: { distr: logY ? 3 : 1 },
    },
    axes: [
      {
        stroke: soft,
        grid,
        ticks: { show: false },
        font,
        size: 28,
        values: (_, values) => values.map((x) => (x === null ? '' : shownX(axis, x))),
      },
      {
        stroke: soft,
        grid,
        ticks: { show: false },
        font,
        size: 60,
        values: (_, values) => values.map((y) => (y === null ? '' : number(y))),
      },
    ],
    series: [
      {
        label: axis,
        value: (plot, x, _, at) => {
          const shown = at === null ? lastOf(plot.data[0]) : x
          return shown === undefined || shown === null ? '–' : shownX(axis, shown)
        },
      },
      ...(lines.length
        ? lines.map((line) => ({
            label: line.name,
            stroke: strokeOf(line, runs.length),
            width: line.kind === 'faint' ? 0.6 : 1.75,
            alpha: line.kind === 'faint' ? 0.45 : 1,
            dash:
              runs.length > 6
                ? dashes[Math.floor(line.run / 6) % 3]
                : line.kind === 'held' && runs.length > 1
                  ? [6, 4]
                  : [],
            spanGaps: true,
            points: {
              show: line.x.length < 2 || (line.kind === 'held' && line.x.length < 60),
              fill: () => color('--card'),
            },
            // Without a mouse over it a chart says where its curves ended
            value: (plot: uPlot, y: number | null, series: number, at: number | null) =>
              number(at === null ? lastOf(plot.data[series]) : y),
          }))
        : [{ label: 'nothing yet' }]),
    ],
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select
          if (wide < 4) return
          props.current.onRange([plot.posToVal(left, 'x'), plot.posToVal(left + wide, 'x')])
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    },
  }
}

const lastOf = (values: ArrayLike<number | null | undefined>): number | undefined => {
  let i = values.length - 1
  while (i >= 0 && (values[i] === null || values[i] === undefined)) i--
  return values[i] ?? undefined
}

const nearest = (values: ArrayLike<number | null | undefined>, at: number): number => {
  if (values[at] !== null && values[at] !== undefined) return at
  for (let by = 1; by < values.length; by++)
    for (const i of [at - by, at + by])
      if (i >= 0 && i < values.length && values[i] !== null && values[i] !== undefined) return i
  return at
}

/** What a reader who does not see the chart is told. */
const summary = (title: string, lines: readonly Line[]): string => {
  const ends = lines
    .filter(({ kind, y }) => kind !== 'faint' && y.length > 0)
    .map(({ name, y }) => `${name} from ${number(y[0])} to ${number(y.at(-1)!)}`)
  return ends.length ? `${title}: ${ends.join('; ')}` : `${title}: nothing yet`
}
