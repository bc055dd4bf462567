/** Numbers, sizes and times in words. */

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

/** 12,345; small ones with four significant digits: 0.0123, 1.234e-5. */
export const number = (value: number | null | undefined): string => {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (Number.isInteger(value)) return plain.format(value)
  const size = Math.abs(value)
  if (size >= 1000) return plain.format(value)
  return size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)))
}

/** 0.234 -> 23 % */
export const percent = (share: number | null | undefined): string =>
  share === null || share === undefined || Number.isNaN(share) ? '–' : `${Math.round(share * 100)} %`

export const bytes = (count: number): string => {
  const unit = count < 1e3 ? 0 : count < 1e6 ? 1 : count < 1e9 ? 2 : 3
  const value = count / 1000 ** unit
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${['B', 'kB', 'MB', 'GB'][unit]}`
}

/** 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h */
export const duration = (seconds: number | null | undefined): string => {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return '–'
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return two(Math.floor(whole / 60), 'min', whole % 60, 's')
  const minutes = Math.round(whole / 60)
  if (minutes < 1440) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min')
  return two(Math.floor(minutes / 1440), 'd', Math.round((minutes % 1440) / 60), 'h')
}

const two = (big: number, bigUnit: string, small: number, smallUnit: string) =>
  `${big} ${bigUnit}${small > 0 ? ` ${small} ${smallUnit}` : ''}`

/** Just now, 5 min ago, 3 h ago, 2 d ago, then the date. */
export const ago = (iso: string | null | undefined, now = Date.now()): string => {
  if (!iso) return '–'
  const seconds = (now - Date.parse(iso)) / 1000
  if (!Number.isFinite(seconds)) return '–'
  if (seconds < 45) return 'just now'
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`
  if (seconds < 7 * 86_400) return `${Math.round(seconds / 86_400)} d ago`
  return iso.slice(0, 10)
}
