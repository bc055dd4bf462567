import { ktoSchema } from '../../recipes/trainer/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'kto',
  summary: 'Align a model by replies that are good or bad, each by itself',
  example: 'kto --model HuggingFaceTB/SmolLM2-135M-Instruct --data thumbs.jsonl --undesirable-weight 1.5',
  schema: ktoSchema,
  load: async () => (await import('../../recipes/kto.ts')).kto,
})
