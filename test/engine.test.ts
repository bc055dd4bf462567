import type { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, it } from 'vitest'
import { compileProgram } from '../src/onnx/model.ts'
import type { Backend } from '../src/runtime/backend.ts'
import { openBackend } from '../src/runtime/open.node.ts'
import { grad } from '../src/tensor/grad.ts'
import { input } from '../src/tensor/tensor.ts'

describe('the ONNX Runtime engine', async () => {
  const backend = await openBackend({ inProcess: true, threads: 1 })
  afterAll(() => backend.close())

  it('computes a traced loss and its gradient', async () => {
    const x = input('x', ['B', 3])
    const w = input('w', [2, 3])
    const loss = x.matmul(w, { transB: true }).square().sum()
    const [dw] = grad(loss, [w])
    const exe = backend.load(compileProgram('toy', { loss, dw }))
    const feeds = {
      x: backend.put(Float32Array.of(1, 2, 3), [1, 3]),
      w: backend.put(Float32Array.of(1, 0, 0, 0, 1, 0), [2, 3]),
    }
    const out = backend.run(exe, feeds)
    expect([...(await backend.read(out.loss))]).toEqual([5])
    expect([...(await backend.read(out.dw))]).toEqual([2, 4, 6, 4, 8, 12])
  })

  it('gives the same bits in every scatterAdd on two threads', async () => {
    const two = await openBackend({ inProcess: true, threads: 2 })
    const sum = input('x', ['N', 64]).scatterAdd(input('rows', ['N'], 'i64'), 4)
    const exe = two.load(compileProgram('scatter', { sum }))
    const n = 20_000
    const x = two.put(
      Float32Array.from({ length: n * 64 }, (_, i) => Math.sin(i)),
      [n, 64],
    )
    const rows = two.put(
      BigInt64Array.from({ length: n }, (_, i) => BigInt(i % 4)),
      [n],
    )
    const sums = () => two.read(two.run(exe, { x, rows }).sum)
    const first = await sums()
    for (let i = 0; i < 10; i++) expect(await sums()).toEqual(first)
    const exact = Array.from({ length: n / 4 }, (_, i) => Math.sin(i * 4 * 64)).reduce((a, b) => a + b)
    expect(first[0]).toBeCloseTo(exact, 2)
    await two.close()
  })

  it('accumulates a scatterAdd into an array in place', async () => {
    const sum = input('grad', [3, 2]).add(input('x', ['N', 2]).scatterAdd(input('rows', ['N'], 'i64'), 3))
    const exe = backend.load(compileProgram('scatterInto', { sum }))
    const grad = backend.put(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2])
    const x = backend.put(Float32Array.of(10, 20, 30, 40, 50, 60), [3, 2])
    const rows = backend.put(BigInt64Array.of(2n, 0n, 2n), [3])
    for (let i = 0; i < 2; i++) backend.run(exe, { grad, x, rows }, { sum: grad })
    expect([...(await backend.read(grad))]).toEqual([61, 82, 3, 4, 125, 166])
  })
})

describe('the thread of an engine', () => {
  const square = compileProgram('square', { y: input('x', ['N']).square() })
  const squares = async (backend: Backend, x: number[]) => {
    const exe = backend.load(square)
    return [...(await backend.read(backend.run(exe, { x: backend.put(Float32Array.from(x), [x.length]) }).y))]
  }

  it('serves the next engine after it is closed, and no two at once', async () => {
    const threads: Worker[] = []
    const count = (thread: Worker) => void threads.push(thread)
    process.on('worker', count)
    try {
      // Those that earlier tests left
      const earlier = await Promise.all([1, 2].map((threads) => openBackend({ threads })))
      threads.length = 0
      expect(await Promise.all(earlier.map((backend, i) => squares(backend, [i + 2])))).toEqual([[4], [9]])
      await Promise.all(earlier.map((backend) => backend.close()))
      const next = await Promise.all([2, 1, 1].map((threads) => openBackend({ threads })))
      expect(next.map(({ description }) => description.threads)).toEqual([2, 1, 1])
      expect(threads).toHaveLength(1)
      expect(await Promise.all(next.map((backend, i) => squares(backend, [i, 5])))).toEqual([
        [0, 25],
        [1, 25],
        [4, 25],
      ])
      await Promise.all(next.map((backend) => backend.close()))
    } finally {
      process.off('worker', count)
    }
  })

  it('does not serve again where an engine failed', async () => {
    const failing = await openBackend({ threads: 1 })
    const broken = failing.load({ ...square, bytes: Uint8Array.of(1) })
    const x = failing.put(Float32Array.of(1), [1])
    await expect(failing.read(failing.run(broken, { x }).y)).rejects.toThrow('the engine')
    // The thread may have ended by now
    await failing.close().catch(() => {})
    for (const threads of [1, 1, 1]) {
      const next = await openBackend({ threads })
      expect(await squares(next, [3])).toEqual([9])
      await next.close()
    }
  })
})
