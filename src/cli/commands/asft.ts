import { asftSchema } from '../../recipes/trainer/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'asft',
  summary: "Self-play with help: the data, then helpers' answers, then those of the last snapshot (aSFT)",
  example: 'asft --model HuggingFaceTB/SmolLM2-135M-Instruct --data chats.jsonl --helper column:better --lora-r 32',
  schema: asftSchema,
  load: async () => (await import('../../recipes/asft.ts')).asft,
})
