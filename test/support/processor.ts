/** What tests must know of the processor that they run on. */
import { readFileSync } from 'node:fs'
import { arch, platform } from 'node:os'

/**
 * Whether this is an x86 processor without AVX-512, where ONNX Runtime rounds otherwise: its 8-bit products give a row another last
 * digit beside other rows. Only Linux says which instructions a processor has.
 */
export const withoutAvx512 =
  arch() === 'x64' && platform() === 'linux' && !readFileSync('/proc/cpuinfo', 'utf8').includes('avx512f')
