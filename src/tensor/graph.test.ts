import { describe, expect, it } from 'vitest'
import { grad } from './grad.ts'
import { inputsOf, print, topological } from './graph.ts'
import { simplify } from './simplify.ts'
import { constant, input } from './tensor.ts'

describe('print', () => {
  it('shows a layer with its gradient', () => {
    const x = input('x', ['B', 'T', 8])
    const w = input('w', [4, 8])
    const loss = x.matmul(w, { transB: true }).silu().mean()
    expect(print(simplify([loss, ...grad(loss, [w])]))).toMatchInlineSnapshot(`
      "%0 = input {"name":"x"} : f32[B, T, 8]
      %1 = input {"name":"w"} : f32[4, 8]
      %2 = matmul %0 %1 {"transA":false,"transB":true} : f32[B, T, 4]
      %3 = silu %2 : f32[B, T, 4]
      %4 = reduceSum %3 {"axes":[0,1,2],"keep":false} : f32[]
      %5 = iota {"size":"1+4*B*T"} : i64[1+4*B*T]
      %6 = reduceMax %5 {"axes":[0],"keep":false} : i64[]
      %7 = cast %6 : f32[]
      %8 = div %4 %7 : f32[]
      %9 = constant {"data":[1]} : f32[]
      %10 = div %9 %7 : f32[]
      %11 = reshape %10 : f32[1, 1, 1]
      %12 = sigmoid %2 : f32[B, T, 4]
      %13 = add %12 %3 : f32[B, T, 4]
      %14 = mul %3 %12 : f32[B, T, 4]
      %15 = sub %13 %14 : f32[B, T, 4]
      %16 = mul %11 %15 : f32[B, T, 4]
      %17 = reshape %16 : f32[B*T, 4]
      %18 = reshape %0 : f32[B*T, 8]
      %19 = matmul %17 %18 {"transA":true,"transB":false} : f32[4, 8]
      return %8 %19"
    `)
  })

  it('shows what JSON cannot', () => {
    expect(print([constant([-Infinity, NaN, -0])])).toMatchInlineSnapshot(`
      "%0 = constant {"data":["-Infinity","NaN","-0"]} : f32[3]
      return %0"
    `)
  })
})

describe('topological', () => {
  it('lists inputs before users, each once', () => {
    const [a, b] = [input('a', []), input('b', [])]
    const shared = a.add(b)
    const order = topological([shared.mul(shared), shared])
    expect(order.map((t) => t.op)).toEqual(['input', 'input', 'add', 'mul'])
    expect(inputsOf(order).map((t) => t.params.name)).toEqual(['a', 'b'])
  })
})
