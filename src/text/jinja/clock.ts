/** strftime in the C locale, without time zones. */
import { fail } from './values.ts'

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

const two = (value: number): string => String(value).padStart(2, '0')
const dayOfYear = (now: Date): number =>
  Math.round(
    (Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - Date.UTC(now.getFullYear(), 0, 1)) / 86_400_000,
  ) + 1
/** Full weeks of the year that begin on the given weekday. */
const weekFrom = (now: Date, first: number): number =>
  Math.floor((dayOfYear(now) + 6 - ((now.getDay() - first + 7) % 7)) / 7)

const fields: Record<string, (now: Date) => string> = {
  a: (now) => days[now.getDay()].slice(0, 3),
  A: (now) => days[now.getDay()],
  b: (now) => months[now.getMonth()].slice(0, 3),
  B: (now) => months[now.getMonth()],
  c: (now) => strftime(now, '%a %b %e %H:%M:%S %Y'),
  C: (now) => two(Math.floor(now.getFullYear() / 100)),
  d: (now) => two(now.getDate()),
  D: (now) => strftime(now, '%m/%d/%y'),
  e: (now) => String(now.getDate()).padStart(2, ' '),
  f: (now) => String(now.getMilliseconds() * 1000).padStart(6, '0'),
  F: (now) => strftime(now, '%Y-%m-%d'),
  h: (now) => months[now.getMonth()].slice(0, 3),
  H: (now) => two(now.getHours()),
  I: (now) => two(now.getHours() % 12 || 12),
  j: (now) => String(dayOfYear(now)).padStart(3, '0'),
  m: (now) => two(now.getMonth() + 1),
  M: (now) => two(now.getMinutes()),
  n: () => '\n',
  p: (now) => (now.getHours() < 12 ? 'AM' : 'PM'),
  r: (now) => strftime(now, '%I:%M:%S %p'),
  R: (now) => strftime(now, '%H:%M'),
  S: (now) => two(now.getSeconds()),
  t: () => '\t',
  T: (now) => strftime(now, '%H:%M:%S'),
  u: (now) => String(now.getDay() || 7),
  U: (now) => two(weekFrom(now, 0)),
  w: (now) => String(now.getDay()),
  W: (now) => two(weekFrom(now, 1)),
  x: (now) => strftime(now, '%m/%d/%y'),
  X: (now) => strftime(now, '%H:%M:%S'),
  y: (now) => two(now.getFullYear() % 100),
  Y: (now) => String(now.getFullYear()),
  z: () => '',
  Z: () => '',
  '%': () => '%',
}

/** glibc's `-` leaves padding away: %-d is 3 where %d is 03. */
export const strftime = (now: Date, format: string): string =>
  format.replace(/%(-?)([a-zA-Z%])/g, (all, bare: string, field: string) => {
    const shown = Object.hasOwn(fields, field) ? fields[field](now) : fail(`strftime_now does not know ${all}`)
    return bare ? shown.replace(/^[0 ]+(?=.)/, '') : shown
  })
