/** The flags of the commands that load a model: which one, and what computes it. */
import { z } from 'zod'
import { engineFields, quantizeField } from '../recipes/trainer/fields.ts'

export const modelFlag = z.string().meta({ value: 'MODEL' }).describe('a folder, a hub id or the name of a run')
export const adapterFlag = z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter of that model')

export const modelFlags = { model: modelFlag, adapter: adapterFlag, quantize: quantizeField }
export const engineFlags = { device: engineFields.device, threads: engineFields.threads }
