/** The numbers of a report, whatever their JSON looks like, as tables. */
import type { ReportNumbers } from './api.ts'

const mostRows = 500
const mostTables = 40
const mostColumns = 24

type Cell = string | number
type Json = { readonly [key: string]: unknown }

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const cell = (value: unknown): Cell => {
  if (typeof value === 'number') return value
  if (value === null || value === undefined) return ''
  return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 300)
}

/** Lists of objects become tables of their own, by their path; all other values are rows of the first table. */
export const numbersOf = (value: unknown): ReportNumbers => {
  const single: Cell[][] = []
  const tables: ReportNumbers['tables'] = []
  const walk = (at: unknown, path: string, depth: number) => {
    if (Array.isArray(at) && at.length > 0 && at.every(isObject)) {
      if (tables.length < mostTables) tables.push(tableOf(path, at))
    } else if (isObject(at) && depth < 6) {
      for (const [key, below] of Object.entries(at))
        if (key !== 'hash') walk(below, path ? `${path}.${key}` : key, depth + 1)
    } else if (single.length < mostRows) single.push([path, cell(at)])
  }
  walk(value, '', 0)
  return {
    tables: [...(single.length ? [{ title: 'Values', columns: ['name', 'value'], rows: single }] : []), ...tables],
  }
}

const tableOf = (title: string, rows: readonly Json[]): ReportNumbers['tables'][number] => {
  const flat = rows.slice(0, mostRows).map((row) => flattened(row))
  const columns = [...new Set(flat.flatMap((row) => Object.keys(row)))].slice(0, mostColumns)
  return { title, columns, rows: flat.map((row) => columns.map((column) => row[column] ?? '')) }
}

/** {a: {b: 1}} -> {'a.b': 1} */
const flattened = (row: Json, path = '', depth = 0): Record<string, Cell> =>
  Object.assign(
    Object.create(null),
    ...Object.entries(row).map(([key, value]) => {
      const name = path ? `${path}.${key}` : key
      return isObject(value) && depth < 3 ? flattened(value, name, depth + 1) : { [name]: cell(value) }
    }),
  )
