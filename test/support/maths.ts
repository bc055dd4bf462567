/** Float64 goldens of formulas (test/fixtures/maths), and traced programs run by the interpreter. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { expect } from 'vitest'
import { evaluate } from '../../src/runtime/interpreter.ts'
import type { DType } from '../../src/tensor/primitives.ts'
import { input, type Tensor } from '../../src/tensor/tensor.ts'

export const golden = <Case>(name: string): Case[] =>
  JSON.parse(gunzipSync(readFileSync(new URL(`../fixtures/maths/${name}.json.gz`, import.meta.url))).toString()).cases

export type Fed = { data: number[]; shape: number[]; dtype?: DType }

export const vector = (data: number[], dtype?: DType): Fed => ({ data, shape: [data.length], dtype })
export const matrix = (rows: number[][], dtype?: DType): Fed => ({
  data: rows.flat(),
  shape: [rows.length, rows[0].length],
  dtype,
})

/** Evaluates the tensors that `build` traces from the given arrays. */
export const run = <K extends string>(fed: Record<K, Fed>, build: (x: Record<K, Tensor>) => Tensor[]): number[][] => {
  const names = Object.keys(fed) as K[]
  const inputs = Object.fromEntries(names.map((n) => [n, input(n, fed[n].shape, fed[n].dtype)])) as Record<K, Tensor>
  return evaluate(build(inputs), fed).map(({ data }) => [...data])
}

/** Expects a difference within 1e-9, absolute below 1 and relative above. */
export const expectClose = (actual: readonly number[], expected: readonly number[], what: string) => {
  expect(actual.length, what).toBe(expected.length)
  for (const [i, value] of expected.entries()) {
    const error = Math.abs(actual[i] - value) / Math.max(1, Math.abs(value))
    if (!(error <= 1e-9)) expect.fail(`${what}[${i}] is ${actual[i]}, not ${value}`)
  }
}

/** Pads rows of different lengths with `fill`. */
export const padded = (rows: readonly (readonly number[])[], fill: number): number[][] => {
  const width = Math.max(...rows.map((row) => row.length))
  return rows.map((row) => [...row, ...Array<number>(width - row.length).fill(fill)])
}
