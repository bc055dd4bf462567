import { afterAll, expect, it } from 'vitest'
import { compileProgram } from '../onnx/model.ts'
import { input } from '../tensor/tensor.ts'
import { openBackend } from './open.node.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

it('runs the programs that are left when others are unloaded', async () => {
  const x = backend.put(Float32Array.of(1, 2), [2])
  const times = (factor: number) => backend.load(compileProgram(`times${factor}`, { y: input('x', ['N']).mul(factor) }))
  const [twice, thrice] = [times(2), times(3)]
  const { y } = backend.run(twice, { x })
  backend.unload([twice])
  expect([...(await backend.read(y))]).toEqual([2, 4])
  expect([...(await backend.read(backend.run(thrice, { x: y }).y))]).toEqual([6, 12])
  const again = times(2)
  expect([...(await backend.read(backend.run(again, { x }).y))]).toEqual([2, 4])
})
