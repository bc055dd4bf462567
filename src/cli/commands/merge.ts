/** `attune merge`: a base model and its adapter as one model. */
import { z } from 'zod'
import { mergeModel } from '../../publish/convertModel.ts'
import { command } from '../command.ts'

const schema = z.object({
  model: z
    .string()
    .meta({ value: 'MODEL' })
    .describe('the base model: a folder, a hub id, or a run that trained an adapter'),
  adapter: z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter (default: that of the run)'),
  output: z.string().meta({ value: 'DIR' }).describe('the model folder to write'),
  saveDtype: z.enum(['float32', 'bfloat16', 'float16']).default('float32').describe('data type of the weights'),
})

export default command({
  summary: 'Merge an adapter into its base model',
  example: 'merge --model RUN --output merged',
  schema,
  async run({ model, adapter, output, saveDtype }, { out }) {
    const { base, adapter: merged } = await mergeModel({ model, adapter, output, saveDtype })
    if (out.json) await out.jsonLine({ model: output, base, adapter: merged })
    else await out.text(`${output}: ${base} with ${merged} merged in`)
  },
})
