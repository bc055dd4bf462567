/** The flags of the commands that load a model: which one, and what computes it. */
import { z } from 'zod'
import { computeField, engineFields, quantizeField } from '../recipes/trainer/fields.ts'

export const modelFlag = z
  .string()
  .meta({ value: 'MODEL' })
  .describe('a folder, a hub id, the name of a run, or a PEFT adapter that names its base')
export const adapterFlag = z
  .string()
  .optional()
  .meta({ value: 'DIR' })
  .describe('a PEFT adapter of that model, or a run that trained one')

export const modelFlags = { model: modelFlag, adapter: adapterFlag, quantize: quantizeField, compute: computeField }
export const engineFlags = { device: engineFields.device, threads: engineFields.threads }
