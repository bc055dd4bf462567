import { preferenceSchema } from '../../recipes/trainer/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'dpo',
  summary: 'Align a model by preferences: pairs of replies, or lists in order of rank',
  example: 'dpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data preferences.jsonl --beta 0.1 --lora-r 32',
  schema: preferenceSchema,
  load: async () => (await import('../../recipes/dpo.ts')).preference,
})
