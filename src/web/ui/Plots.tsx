/** Plots of the size of a word: an interval, a line. */
import './plots.css'

type IntervalProps = {
  value: number | null
  low: number | null
  high: number | null
  /** Ends of the axis. */
  min?: number
  max?: number
  /** A value to compare with: 0.5 for no bias. */
  mark?: number
  /** What it is an interval of. */
  label: string
}

const round = (value: number) => value.toFixed(2)

/** The figure, its interval in words, and both as a plot. */
export const Interval = ({ value, low, high, min = 0, max = 1, mark, label }: IntervalProps) => {
  if (value === null) return <span className="soft">–</span>
  const x = (at: number) => ((Math.min(max, Math.max(min, at)) - min) / (max - min)) * 100
  const between = low !== null && high !== null ? `${round(low)} to ${round(high)}` : undefined
  return (
    <span className="interval">
      <span>{round(value)}</span>
      <svg viewBox="0 0 100 12" preserveAspectRatio="none" role="img">
        <title>{`${label}: ${round(value)}${between ? `, 95 % interval ${between}` : ''}`}</title>
        <line className="axis" x1="0" x2="100" y1="6" y2="6" />
        {mark !== undefined && <line className="mark" x1={x(mark)} x2={x(mark)} y1="0" y2="12" />}
        {between && <line className="span" x1={x(low!)} x2={x(high!)} y1="6" y2="6" />}
        <line className="value" x1={x(value)} x2={x(value)} y1="2" y2="10" />
      </svg>
      {between && <small>{between}</small>}
    </span>
  )
}

type SparklineProps = {
  /** Evenly spaced; NaN and null are gaps. */
  values: readonly (number | null)[]
  /** What it shows, with its last value. */
  label: string
  width?: number
  height?: number
}

export const Sparkline = ({ values, label, width = 96, height = 24 }: SparklineProps) => {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[]
  if (known.length < 2) return null
  const low = Math.min(...known)
  const scale = (height - 4) / (Math.max(...known) - low || 1)
  let path = ''
  let pen = 'M'
  values.forEach((value, i) => {
    if (value === null || !Number.isFinite(value)) {
      pen = 'M'
      return
    }
    const x = (i / (values.length - 1)) * (width - 2) + 1
    path += `${pen}${x.toFixed(1)} ${(height - 2 - (value - low) * scale).toFixed(1)}`
    pen = 'L'
  })
  return (
    <svg className="sparkline" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img">
      <title>{label}</title>
      <path d={path} />
    </svg>
  )
}
