/** Measures matrix products of the model's shapes on attune's engine, in GFLOP/s and relative to a large square product. */
import { compileProgram } from '../dist/onnx/model.js'
import { openBackend } from '../dist/runtime/open.node.js'
import { input } from '../dist/tensor/tensor.js'

const shapes = [
  ['peak (2048 x 2048 x 2048)', 2048, 2048, 2048],
  ['q, o (1024 x 576 x 576)', 1024, 576, 576],
  ['gate, up (1024 x 576 x 1536)', 1024, 576, 1536],
  ['down (1024 x 1536 x 576)', 1024, 1536, 576],
  ['head (256 x 576 x 49152)', 256, 576, 49_152],
]

export const matmulRates = async () => {
  const backend = await openBackend({ inProcess: true })
  const rates = []
  for (const [name, m, k, n] of shapes) rates.push([name, await rate(backend, m, k, n)])
  await backend.close()
  const [[, peak]] = rates
  return rates.map(([name, value]) => `matmul ${name}: ${value.toFixed(0)} GFLOP/s, ${((100 * value) / peak).toFixed(0)} %`).join('\n')
}

const rate = async (backend, m, k, n) => {
  const random = (size) => Float32Array.from({ length: size }, Math.random)
  const [x, w] = [backend.put(random(m * k), [m, k]), backend.put(random(n * k), [n, k])]
  // The sum keeps the product inside the engine
  const y = input('x', [m, k]).matmul(input('w', [n, k]), { transB: true })
  const program = backend.load(compileProgram('matmul', { y: y.sum() }))
  const into = { y: backend.zeros([]) }
  const times = []
  for (let i = 0; i < 12; i++) {
    const from = performance.now()
    backend.run(program, { x, w }, into)
    await backend.idle()
    times.push(performance.now() - from)
  }
  backend.free([x, w, into.y])
  return (2 * m * k * n) / times.slice(2).toSorted((a, b) => a - b)[5] / 1e6
}
