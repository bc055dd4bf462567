/**
 * Which kind of 8-bit codes a machine multiplies exactly. On x86 without VNNI, ONNX Runtime adds two products u8 x s8 in 16
 * bits, which overflow; it multiplies u8 x u8 there, and that is exact. Where both are exact, s8 is the faster.
 */
import { compileProgram } from '../onnx/model.ts'
import type { CodeType } from '../tensor/primitives.ts'
import { input } from '../tensor/tensor.ts'
import { badInput } from '../util/fault.ts'
import type { Backend } from './backend.ts'

const known = new WeakMap<Backend, Promise<CodeType>>()

/**
 * The codes that this backend multiplies without an error, tried once.
 * Faults: 'no-int8' where neither is exact.
 */
export const codeType = (backend: Backend): Promise<CodeType> => {
  if (!known.has(backend)) known.set(backend, exactType(backend))
  return known.get(backend)!
}

const exactType = async (backend: Backend): Promise<CodeType> => {
  const { provider } = backend.description
  if (provider !== 'cpu')
    throw badInput(
      'no-int8',
      `8-bit products are computed on the CPU, not on ${provider}; add --device cpu, or leave the flag out`,
      {
        flag: '--compute',
      },
    )
  for (const dtype of ['s8', 'u8'] as const) if (await isExact(backend, dtype)) return dtype
  throw badInput('no-int8', 'this processor does not multiply 8-bit numbers exactly; leave --compute at fp32', {
    flag: '--compute',
  })
}

const [inner, out] = [64, 32]

/** The largest numbers of one sign: whatever is added in too few bits overflows. */
const isExact = async (backend: Backend, dtype: CodeType): Promise<boolean> => {
  const program = compileProgram('exactCodes', {
    y: input('x', ['M', inner]).matmulInt8(input('codes', [inner, out], dtype), input('scales', [out]), 1),
  })
  const most = dtype === 'u8' ? 255 : 127
  const feeds = {
    x: backend.put(new Float32Array(8 * inner).fill(1), [8, inner]),
    codes: backend.put(
      dtype === 'u8' ? new Uint8Array(inner * out).fill(most) : new Int8Array(inner * out).fill(most),
      [inner, out],
      dtype,
    ),
    scales: backend.put(new Float32Array(out).fill(1), [out]),
  }
  const { y } = backend.run(backend.load(program), feeds)
  const values = await backend.read(y)
  backend.free([y, ...Object.values(feeds)])
  return values.every((value) => Math.abs(value - 127 * inner) < 1)
}
