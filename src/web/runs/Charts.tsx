/** All metrics of one run or several as charts, with what applies to all: axis, smoothing, logarithms, zoom, search. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { RotateCcw } from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { Axis, Curve, MetricInfo } from '../../studio/runs/api.ts'
import { get } from '../api.ts'
import { Button } from '../ui/Button.tsx'
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { Checkbox, Field, Input, NumberInput } from '../ui/Field.tsx'
import { Segmented } from '../ui/Tabs.tsx'
import { runsQuery } from './address.ts'
import { Chart, type Range } from './Chart.tsx'

type Props = { runs: readonly string[]; metrics: readonly MetricInfo[]; axes: readonly Axis[] }

type View = { axis: Axis; smooth: number; logX: boolean; logY: boolean; range: Range | undefined }

/** Logged values after which a value counts half. */
const halfLives = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000]

const axisNames: Record<Axis, string> = { step: 'Step', tokens: 'Tokens', time: 'Time', flops: 'FLOPs' }

const groups: readonly [MetricInfo['group'], string][] = [
  ['main', 'Main metrics'],
  ['more', 'Further metrics'],
  ['time', 'Seconds of each phase'],
  ['progress', 'Progress and speed'],
]

export const Charts = ({ runs, metrics, axes }: Props) => {
  const [view, setView] = useState<View>({ axis: 'step', smooth: 0, logX: false, logY: false, range: undefined })
  const [search, setSearch] = useState('')
  const change = (part: Partial<View>) => setView((before) => ({ ...before, ...part }))
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  const found = metrics.filter(({ name, label }) => {
    const text = `${name} ${label}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const grid = (some: readonly MetricInfo[]) => (
    <div className="charts">
      {some.map((metric) => (
        <ChartCard key={metric.name} metric={metric} runs={runs} view={view} onRange={(range) => change({ range })} />
      ))}
    </div>
  )
  return (
    <div className="stack">
      <Toolbar axes={axes} view={view} change={change} search={search} onSearch={setSearch} />
      {found.length === 0 && (
        <EmptyState title={metrics.length ? 'No metric has these words' : 'Nothing was logged yet'}>
          {metrics.length === 0 && <p>The first point appears here as soon as the run has made a step.</p>}
        </EmptyState>
      )}
      {words.length > 0
        ? grid(found)
        : groups.map(([group, name]) => {
            const own = found.filter((metric) => metric.group === group)
            if (own.length === 0) return null
            if (group === 'main') return <section key={group}>{grid(own)}</section>
            return (
              <details
                key={group}
                className="more"
                open={group === 'more' && !found.some((each) => each.group === 'main')}
              >
                <summary>
                  {name} <span className="soft">({own.length})</span>
                </summary>
                {grid(own)}
              </details>
            )
          })}
    </div>
  )
}

type ToolbarProps = {
  axes: readonly Axis[]
  view: View
  change(part: Partial<View>): void
  search: string
  onSearch(text: string): void
}

const Toolbar = ({ axes, view, change, search, onSearch }: ToolbarProps) => {
  const { axis, smooth, logX, logY, range } = view
  return (
    <section className="chart-tools" aria-label="How the charts are drawn">
      <Field label="Search metrics" hideLabel>
        <Input
          type="search"
          placeholder="Search metrics"
          value={search}
          onChange={({ target }) => onSearch(target.value)}
        />
      </Field>
      {axes.length > 1 && (
        <Segmented
          label="Axis"
          choices={axes.map((each) => ({ value: each, name: axisNames[each] }))}
          value={axis}
          onChange={(next) => change({ axis: next, range: undefined })}
        />
      )}
      <label className="smoothing">
        Smoothing
        <input
          type="range"
          min={0}
          max={halfLives.length - 1}
          value={halfLives.indexOf(smooth)}
          aria-valuetext={smooth ? `half-life ${smooth} values` : 'none'}
          onChange={({ target }) => change({ smooth: halfLives[Number(target.value)] })}
        />
        <output title="Logged values after which a value counts half">{smooth || 'none'}</output>
      </label>
      <Checkbox label="Log x" checked={logX} onChange={(on) => change({ logX: on })} />
      <Checkbox label="Log y" checked={logY} onChange={(on) => change({ logY: on })} />
      <div className="zoom">
        <span aria-hidden>{axisNames[axis]}s</span>
        <NumberInput
          aria-label={`From ${axis}`}
          placeholder="from"
          value={rounded(range?.[0])}
          onChange={(from) => change({ range: rangeOf(from, range?.[1]) })}
        />
        <span aria-hidden>to</span>
        <NumberInput
          aria-label={`To ${axis}`}
          placeholder="to"
          value={rounded(range?.[1])}
          onChange={(to) => change({ range: rangeOf(range?.[0], to) })}
        />
        <Button look="quiet" disabled={!range} onClick={() => change({ range: undefined })}>
          <RotateCcw size={14} aria-hidden />
          Whole run
        </Button>
      </div>
    </section>
  )
}

const far = Number.MAX_SAFE_INTEGER

/** Nothing typed on one side means the end of the axis there. */
const rangeOf = (from: number | null | undefined, to: number | null | undefined): Range | undefined => {
  if ((from ?? null) === null && (to ?? null) === null) return undefined
  return [from ?? 0, to ?? far]
}

const rounded = (value: number | undefined) =>
  value === undefined || value === far ? null : Number(value.toPrecision(7))

type CardProps = { metric: MetricInfo; runs: readonly string[]; view: View; onRange(range: Range | undefined): void }

/** Its numbers are asked for when it comes near the screen. */
const ChartCard = ({ metric, runs, view, onRange }: CardProps) => {
  const place = useRef<HTMLElement>(null)
  const isNear = useIsNear(place)
  const { axis, smooth, range } = view
  const query = useMemo(() => {
    const zoom = range ? `&from=${range[0]}&to=${range[1]}` : ''
    return `${runsQuery(runs)}&metric=${encodeURIComponent(metric.name)}&x=${axis}&smooth=${smooth}&points=1200${zoom}`
  }, [runs, metric.name, axis, smooth, range])
  const curves = useQuery({
    queryKey: ['run-curves', query],
    queryFn: ({ signal }) => get<Curve[]>(`/run-curves?${query}`, { signal }),
    enabled: isNear,
    placeholderData: keepPreviousData,
    gcTime: 30_000,
  })
  // Where the zoom ends beyond the data, the chart ends with the data
  const shown = useMemo(() => clamped(range, curves.data), [range, curves.data])
  return (
    <figure className="chart-card" ref={place}>
      <figcaption>
        <h2 title={metric.name}>
          <bdi>{metric.label}</bdi>
        </h2>
        {metric.note && <p className="soft">{metric.note}</p>}
      </figcaption>
      {curves.isError ? (
        <ErrorNote error={curves.error} />
      ) : curves.data ? (
        <Chart
          title={metric.label}
          curves={curves.data}
          runs={runs}
          axis={axis}
          logX={view.logX}
          logY={view.logY}
          range={shown}
          onRange={onRange}
        />
      ) : (
        <div className="chart" />
      )}
    </figure>
  )
}

const clamped = (range: Range | undefined, curves: readonly Curve[] | undefined): Range | undefined => {
  if (!range || range[1] < far) return range
  const ends = (curves ?? []).map(({ x }) => x.at(-1) ?? 0)
  return [range[0], Math.max(range[0] + 1, ...ends)]
}

const useIsNear = (place: { current: Element | null }): boolean => {
  const [isNear, setNear] = useState(false)
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => setNear(entry.isIntersecting), { rootMargin: '400px' })
    observer.observe(place.current!)
    return () => observer.disconnect()
  }, [place])
  return isNear
}
