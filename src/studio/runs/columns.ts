/** A table of numbers that grows by rows: the values of each metric over the steps of a run. What a row lacks is NaN. */

export type Table = {
  rows(): number
  /** Names of the columns, in the order in which they appeared. */
  names(): string[]
  /** The values of a column so far, one a row; a view, which the next row may leave behind. */
  column(name: string): Float64Array | undefined
  append(row: Readonly<Record<string, unknown>>): void
  bytes(): number
}

/** More columns than this come from no training. */
const mostColumns = 2000
const longestName = 200

export const makeTable = (): Table => {
  const columns = new Map<string, Float64Array>()
  let rows = 0
  let room = 64
  const grown = (column: Float64Array) => {
    const larger = new Float64Array(room).fill(Number.NaN)
    larger.set(column)
    return larger
  }
  return {
    rows: () => rows,
    names: () => [...columns.keys()],
    column: (name) => columns.get(name)?.subarray(0, rows),
    append(row) {
      if (rows === room) {
        room *= 2
        for (const [name, column] of columns) columns.set(name, grown(column))
      }
      for (const name in row) {
        const value = row[name]
        if (typeof value !== 'number') continue
        let column = columns.get(name)
        if (!column) {
          if (columns.size >= mostColumns || name.length > longestName) continue
          column = grown(new Float64Array(0))
          columns.set(name, column)
        }
        column[rows] = value
      }
      rows++
    },
    bytes: () => columns.size * room * 8,
  }
}
