/**
 * Dimensions that may be unknown until a program runs. A Dim is a number, or the canonical text of a polynomial in
 * named sizes ('B', 'B*T', '-1+T'). Equal sizes have equal texts, so `===` compares them.
 */
import { assert } from '../util/fault.ts'

export type Dim = number | string
export type Shape = readonly Dim[]

/** Monomial ('B*T', '' for the constant) to its coefficient. */
export type Polynomial = Map<string, number>

export const parseDim = (dim: Dim): Polynomial => {
  if (typeof dim === 'number') return new Map([['', dim]])
  const terms: Polynomial = new Map()
  for (const term of dim.split('+')) {
    const factors = term.split('*')
    const coefficient = /^-?\d+$/.test(factors[0]) ? Number(factors.shift()) : 1
    const monomial = factors.join('*')
    terms.set(monomial, (terms.get(monomial) ?? 0) + coefficient)
  }
  return terms
}

const formatDim = (terms: Polynomial): Dim => {
  const kept = [...terms].filter(([, c]) => c !== 0).sort(([a], [b]) => (a < b ? -1 : 1))
  if (kept.length === 0) return 0
  if (kept.length === 1 && kept[0][0] === '') return kept[0][1]
  return kept.map(([m, c]) => (m === '' ? `${c}` : c === 1 ? m : `${c}*${m}`)).join('+')
}

export const addDims = (a: Dim, b: Dim): Dim => {
  if (typeof a === 'number' && typeof b === 'number') return a + b
  const sum = parseDim(a)
  for (const [m, c] of parseDim(b)) sum.set(m, (sum.get(m) ?? 0) + c)
  return formatDim(sum)
}

export const mulDims = (a: Dim, b: Dim): Dim => {
  if (typeof a === 'number' && typeof b === 'number') return a * b + 0 // 0 for -0
  const product: Polynomial = new Map()
  for (const [m, c] of parseDim(a))
    for (const [n, d] of parseDim(b)) {
      const monomial = [...m.split('*'), ...n.split('*')].filter(Boolean).sort().join('*')
      product.set(monomial, (product.get(monomial) ?? 0) + c * d)
    }
  return formatDim(product)
}

export const subDims = (a: Dim, b: Dim): Dim => addDims(a, mulDims(-1, b))

export const sizeOf = (shape: Shape): Dim => shape.reduce(mulDims, 1)

export const sameShape = (a: Shape, b: Shape) => a.length === b.length && a.every((dim, i) => dim === b[i])

/** NumPy's broadcasting: shapes are aligned at the right, and a size of 1 is repeated. */
export const broadcast = (a: Shape, b: Shape): Shape => {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1
    const y = b[i - rank + b.length] ?? 1
    assert(x === y || x === 1 || y === 1, `shapes [${a}] and [${b}] do not broadcast`)
    return x === 1 ? y : x
  })
}

/** Values of the named sizes. */
export type Bindings = ReadonlyMap<string, number>

export const evalDim = (dim: Dim, bindings: Bindings): number => {
  if (typeof dim === 'number') return dim
  let total = 0
  for (const [monomial, coefficient] of parseDim(dim)) {
    let value = coefficient
    for (const symbol of monomial.split('*').filter(Boolean)) {
      const bound = bindings.get(symbol)
      assert(bound !== undefined, `size ${symbol} of ${dim} is not bound by any input`)
      value *= bound
    }
    total += value
  }
  return total
}

/** Binds the plain symbols of a declared shape to an actual one; throws where they disagree. */
export const bindShape = (name: string, declared: Shape, actual: readonly number[], bindings: Map<string, number>) => {
  const fits =
    declared.length === actual.length &&
    declared.every((dim, i) => {
      if (typeof dim === 'number') return dim === actual[i]
      if (!/^\w+$/.test(dim)) return true
      if (!bindings.has(dim)) bindings.set(dim, actual[i])
      return bindings.get(dim) === actual[i]
    })
  assert(fits, `input ${name} is declared [${declared}] and got [${actual}] (with ${JSON.stringify([...bindings])})`)
}
