/** What tests must know of the processor that they run on. */
import { readFileSync } from 'node:fs'
import { arch, platform } from 'node:os'

/**
 * Whether ONNX Runtime's 8-bit products may give a row another last digit beside other rows: on x86 without AVX-512. Only Linux
 * says which instructions a processor has.
 */
export const rowsDependOnBatch =
  arch() === 'x64' && platform() === 'linux' && !readFileSync('/proc/cpuinfo', 'utf8').includes('avx512f')
