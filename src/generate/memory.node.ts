/** Whether to decode with copies of the weights (`packed` in `DecoderOptions`), by the free memory. */
import type { Model } from '../passes/model.ts'
import { handleBytes } from '../runtime/backend.ts'

/** Making the copies takes as long as they save in about this many steps. */
const repaid = 64

/** True for quantized weights, whose expansion at every step costs more. @param steps at most */
export const worthPacking = ({ params, quantized }: Pick<Model, 'params' | 'quantized'>, steps: number): boolean => {
  if (quantized.size) return true
  const bytes = handleBytes(params.values())
  return steps >= repaid && 2 * bytes < process.availableMemory()
}
