/**
 * Which ids a file has shown. A set of strings would need a hundred bytes a row; this is an open table of 64-bit hashes
 * and row numbers, 12 bytes a slot. Two ids of ten million share a hash with a probability of 3e-6.
 */
import type { Id } from './rows.ts'

export const idTable = () => {
  let size = 0
  let table = slots(1024)
  const place = ({ high, low, row }: ReturnType<typeof slots>, h: number, l: number) => {
    let at = l & (row.length - 1)
    while (row[at] && (high[at] !== h || low[at] !== l)) at = (at + 1) & (row.length - 1)
    return at
  }
  const grow = () => {
    const larger = slots(table.row.length * 2)
    for (let i = 0; i < table.row.length; i++) {
      if (!table.row[i]) continue
      const at = place(larger, table.high[i], table.low[i])
      larger.high[at] = table.high[i]
      larger.low[at] = table.low[i]
      larger.row[at] = table.row[i]
    }
    table = larger
  }
  return {
    /** The row (from 0) that had this id before; undefined when it is new, and then it is remembered. */
    seen: (id: Id, row: number): number | undefined => {
      const [h, l] = hash(typeof id === 'number' ? `#${id}` : `"${id}`)
      const at = place(table, h, l)
      if (table.row[at]) return table.row[at] - 1
      table.high[at] = h
      table.low[at] = l
      table.row[at] = row + 1
      if (++size > table.row.length * 0.7) grow()
    },
  }
}

const slots = (n: number) => ({ high: new Uint32Array(n), low: new Uint32Array(n), row: new Uint32Array(n) })

/** Two multiplicative hashes over the UTF-16 units, mixed at the end. */
const hash = (text: string): [number, number] => {
  let a = 0x9e3779b1
  let b = 0x85ebca77
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x01000193)
    b = Math.imul((b << 7) ^ (b >>> 25) ^ unit, 0xc2b2ae3d)
  }
  return [mix(a ^ (b >>> 15)), mix(b ^ (a << 13))]
}

const mix = (x: number) => {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}
