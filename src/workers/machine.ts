/** What results of this machine depend on: versions, and the arithmetic of its processor. */
import { readFileSync } from 'node:fs'
import { arch, cpus, platform } from 'node:os'

/** Sets of instructions by which the engine chooses how it multiplies, and with that the last bits of a result. */
const decisive = ['avx2', 'avx512f', 'avx_vnni', 'avx512_vnni', 'amx_int8', 'asimddp', 'i8mm', 'bf16']

/** The kind of arithmetic, in words: two machines of one kind compute the same bits. */
export const arithmetic = (): string =>
  [arch(), ...(platform() === 'linux' ? instructionsOf() : [processor()])].join(' ')

export const processor = (): string => cpus()[0]?.model.trim() || arch()

const instructionsOf = (): string[] => {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? ''
    const flags = new Set(line.trim().split(/\s+/))
    return decisive.filter((name) => flags.has(name))
  } catch {
    return []
  }
}
