import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addDims, bindShape, type Dim, evalDim, mulDims, sizeOf, subDims } from './dim.ts'

const symbols = ['B', 'K', 'T', 'tokens2']
const atom: fc.Arbitrary<Dim> = fc.oneof(fc.integer({ min: -4, max: 9 }), fc.constantFrom(...symbols))
const { dim } = fc.letrec<{ dim: Dim }>((tie) => ({
  dim: fc.oneof(
    { depthSize: 'small' },
    atom,
    fc.tuple(fc.constantFrom(addDims, subDims, mulDims), tie('dim'), tie('dim')).map(([f, a, b]) => f(a, b)),
  ),
}))
const bindings = fc
  .array(fc.integer({ min: 0, max: 7 }), { minLength: symbols.length, maxLength: symbols.length })
  .map((values) => new Map(symbols.map((symbol, i) => [symbol, values[i]])))

describe('dims', () => {
  it('are computed as the numbers they stand for', () => {
    fc.assert(
      fc.property(dim, dim, bindings, (a, b, bound) => {
        const [x, y] = [evalDim(a, bound), evalDim(b, bound)]
        expect(evalDim(addDims(a, b), bound)).toBe(x + y)
        expect(evalDim(subDims(a, b), bound)).toBe(x - y)
        expect(evalDim(mulDims(a, b), bound) - x * y).toBe(0)
      }),
    )
  })

  it('have one text for one polynomial', () => {
    fc.assert(
      fc.property(dim, dim, dim, (a, b, c) => {
        expect(addDims(a, b)).toBe(addDims(b, a))
        expect(mulDims(a, b)).toBe(mulDims(b, a))
        expect(addDims(a, addDims(b, c))).toBe(addDims(addDims(a, b), c))
        expect(mulDims(a, mulDims(b, c))).toBe(mulDims(mulDims(a, b), c))
        expect(mulDims(a, addDims(b, c))).toBe(addDims(mulDims(a, b), mulDims(a, c)))
        expect(addDims(subDims(a, b), b)).toBe(addDims(a, 0))
        expect(subDims(a, a)).toBe(0)
      }),
    )
  })

  it('read as they are written', () => {
    expect(mulDims(2, addDims('T', -1))).toBe('-2+2*T')
    expect(sizeOf(['T', 3, 'B'])).toBe('3*B*T')
    expect(mulDims('B', 'B')).toBe('B*B')
    expect(addDims('B+B', 0)).toBe('2*B')
  })
})

describe('bindShape', () => {
  it('binds plain names, and compares where a name is bound or a size is given', () => {
    const bound = new Map<string, number>()
    bindShape('x', ['B', 'B*T', 3], [2, 10, 3], bound)
    expect([...bound]).toEqual([['B', 2]])
    expect(() => bindShape('y', ['B'], [4], bound)).toThrow('input y is declared [B] and got [4]')
    expect(() => bindShape('y', [3], [4], bound)).toThrow('declared [3] and got [4]')
    expect(() => bindShape('y', ['B'], [2, 1], bound)).toThrow('declared [B] and got [2,1]')
  })

  it('names a size that nothing binds', () => {
    expect(() => evalDim('1+T', new Map([['B', 1]]))).toThrow('size T of 1+T is not bound')
  })
})
