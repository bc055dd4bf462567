import { sftSchema } from '../../recipes/trainer/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'sft',
  summary: 'Fine-tune a model on texts, conversations or completions',
  example: 'sft --model HuggingFaceTB/SmolLM2-135M --data chats.jsonl --epochs 1 --lora-r 16',
  schema: sftSchema,
  load: async () => (await import('../../recipes/sft.ts')).sft,
})
