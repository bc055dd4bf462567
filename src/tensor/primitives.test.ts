import { describe, expect, it } from 'vitest'
import { concat, constant, input, scalar, type Tensor } from './tensor.ts'

const x = input('x', ['B', 3])
const y = input('y', ['B', 4])
const vector = input('vector', ['C'])
const n = input('n', ['B'], 'i64')
const condition = input('condition', ['B', 3], 'bool')
const tables = [input('cos', [9, 2]), input('sin', [9, 2])] as const
const rope = { heads: 2, rotary: 4, inverse: false }

describe('a shape rule refuses', () => {
  it.each<[string, () => Tensor, string]>([
    [
      'operands that do not stretch',
      () => x.add(y),
      'add of f32[B, 3], f32[B, 4]: shapes [B,3] and [B,4] do not broadcast',
    ],
    ['two named sizes', () => n.add(input('m', ['T'], 'i64')), 'add of i64[B], i64[T]: shapes [B] and [T]'],
    ['mixed types', () => n.mul(scalar(1)), 'mul of i64[B], f32[]: expected i64, got f32'],
    ['integers in a function of reals', () => n.exp(), 'exp of i64[B]: expected f32, got i64'],
    ['reals in logic', () => x.and(condition), 'and of f32[B, 3], bool[B, 3]: expected bool, got f32'],
    ['a remainder of reals', () => x.mod(2), 'mod of f32[B, 3], f32[]: expected i64, got f32'],
    ['an order of conditions', () => condition.lt(condition), 'lt of bool[B, 3], bool[B, 3]: expected f32 or i64'],
    ['a choice by a number', () => x.where(1, 2), 'where of f32[B, 3], f32[], f32[]: expected bool, got f32'],
    ['a choice between types', () => condition.where(x, scalar(0, 'i64')), 'expected f32, got i64'],
    ['a sum over an axis that is not there', () => x.sum(2), 'reduceSum of f32[B, 3]: axis 2 of [B,3]'],
    ['a sum over an axis below', () => x.sum(-3), 'reduceSum of f32[B, 3]: axis -1 of [B,3]'],
    ['an axis twice', () => x.amax([1, -1]), 'reduceMax of f32[B, 3]: axes [1,1] repeat'],
    ['a sum of conditions', () => condition.sum(), 'reduceSum of bool[B, 3]: expected f32 or i64'],
    ['softmax of a scalar', () => scalar(1).softmax(), 'softmax of f32[]: axis -1 of []'],
    ['inner sizes that differ', () => x.matmul(y), 'matmul of f32[B, 3], f32[B, 4]: inner sizes 3 and B'],
    ['a matrix times a vector', () => x.matmul(constant([1, 2, 3])), 'both operands need two axes'],
    ['another number of values', () => x.reshape(['B', 4]), 'reshape of f32[B, 3]: to [B,4]: 3*B values for 4*B'],
    ['no permutation', () => x.transpose([1, 1]), 'transpose of f32[B, 3]: [1,1] is no permutation of 2 axes'],
    ['a shrinking stretch', () => x.broadcastTo(['B', 1]), 'broadcastTo of f32[B, 3]: [B,3] does not stretch to [B,1]'],
    [
      'neighbours that differ',
      () => concat([x, y], 0),
      'concat of f32[B, 3], f32[B, 4]: [B,3] and [B,4] differ beside',
    ],
    ['neighbours of two types', () => concat([x, condition], 0), 'expected f32, got bool'],
    ['a slice past the end', () => x.slice(1, 2, 4), 'slice of f32[B, 3]: end on axis 1: 4 > 3'],
    ['a slice past a named end', () => x.slice(0, 0, '1+B'), 'slice of f32[B, 3]: end on axis 0: 1+B > B'],
    ['a slice backwards', () => x.slice(1, 2, 1), 'slice of f32[B, 3]: start and end: 2 > 1'],
    ['padding that cuts', () => x.pad(0, -1, 0), 'pad of f32[B, 3]: before: 0 > -1'],
    ['rows by reals', () => x.gather(vector), 'gather of f32[B, 3], f32[C]: expected i64, got f32'],
    ['updates without an index', () => y.scatterAdd(input('m', ['T'], 'i64'), 9), 'updates must begin with [T]'],
    [
      'columns of other rows',
      () => x.takeAlong(input('m', ['T', 1], 'i64')),
      'takeAlong of f32[B, 3], i64[T, 1]: axes',
    ],
    [
      'updates unlike their index',
      () => x.putAlong(input('m', ['B', 2], 'i64'), 9),
      'updates and index differ in shape',
    ],
    ['a weight of another width', () => x.rmsNorm(vector, 0), 'rmsNorm of f32[B, 3], f32[C]: weight must be [3]'],
    ['heads that do not fit', () => x.rope(n, ...tables, rope), 'x must be [N, heads * D] for 2 heads'],
    ['positions of other tokens', () => input('q', ['N', 8]).rope(n, ...tables, rope), 'positions must be [N]'],
    [
      'tables of another width',
      () => input('q', ['B', 8]).rope(n, ...tables, { ...rope, rotary: 2 }),
      'must be [M, 1]',
    ],
    ['a constant of another size', () => constant([1, 2], [3]), 'constant of 2 values with shape [3]'],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(message)
  })
})

describe('a shape rule gives', () => {
  const of = (t: Tensor) => `${t.dtype}[${t.shape}]`

  it.each<[string, Tensor, string]>([
    ['stretched shapes', input('a', ['T', 1, 'B', 1]).add(x), 'f32[T,1,B,3]'],
    ['a type for comparisons', x.ge(0), 'bool[B,3]'],
    ['a type for places', x.argmax(), 'i64[B]'],
    ['kept axes', x.sum([0], true), 'f32[1,3]'],
    ['axes from the end', x.amax(-1), 'f32[B]'],
    ['sums of named sizes', concat([x, x, input('z', ['T', 3])], 0), 'f32[2*B+T,3]'],
    ['what is left of a named size', x.slice(0, 1, 'B'), 'f32[-1+B,3]'],
    ['what padding adds', x.pad(0, 'T', 1), 'f32[1+B+T,3]'],
    ['rows by an index of any rank', y.gather(input('m', ['T', 2], 'i64')), 'f32[T,2,4]'],
    ['rows added', input('u', ['T', 2, 4]).scatterAdd(input('m', ['T', 2], 'i64'), 'B'), 'f32[B,4]'],
    [
      'batched, transposed products',
      input('a', ['T', 1, 3, 'B']).matmul(input('b', ['K', 5, 3]), { transA: true, transB: true }),
      'f32[T,K,B,5]',
    ],
  ])('%s', (_, t, expected) => {
    expect(of(t)).toBe(expected)
  })
})
