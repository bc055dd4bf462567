/** The types of tensors in GGUF files: ggml's codes, and the elements and bytes of a block. Source: ggml.h, ggml-common.h. */

export const ggufBlockTypes = {
  F32: { code: 0, block: 1, bytes: 4 },
  F16: { code: 1, block: 1, bytes: 2 },
  Q4_0: { code: 2, block: 32, bytes: 18 },
  Q4_1: { code: 3, block: 32, bytes: 20 },
  Q5_0: { code: 6, block: 32, bytes: 22 },
  Q5_1: { code: 7, block: 32, bytes: 24 },
  Q8_0: { code: 8, block: 32, bytes: 34 },
  Q2_K: { code: 10, block: 256, bytes: 84 },
  Q3_K: { code: 11, block: 256, bytes: 110 },
  Q4_K: { code: 12, block: 256, bytes: 144 },
  Q5_K: { code: 13, block: 256, bytes: 176 },
  Q6_K: { code: 14, block: 256, bytes: 210 },
  Q8_K: { code: 15, block: 256, bytes: 292 },
  IQ4_NL: { code: 20, block: 32, bytes: 18 },
  IQ4_XS: { code: 23, block: 256, bytes: 136 },
  BF16: { code: 30, block: 1, bytes: 2 },
} as const

/** Types that are read. */
export type GgufBlockType = keyof typeof ggufBlockTypes

/** Types that are known by name alone. */
const others: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  21: 'IQ3_S',
  22: 'IQ2_S',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
  40: 'NVFP4',
  41: 'Q1_0',
}

const byCode = new Map(
  Object.entries(ggufBlockTypes).map(([name, { code }]) => [code as number, name as GgufBlockType]),
)

/** The type of a code; undefined where attune does not read it. */
export const ggufTypeOf = (code: number): GgufBlockType | undefined => byCode.get(code)

/** What llama.cpp calls the type of a code. */
export const ggufTypeName = (code: number): string => byCode.get(code) ?? others[code] ?? `number ${code}`
