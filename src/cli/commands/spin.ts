import { spinSchema } from '../../recipes/trainer/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'spin',
  summary: 'Self-play: learn to tell the data from the answers of the last snapshot (SPIN, T-SPIN)',
  example: 'spin --model HuggingFaceTB/SmolLM2-135M-Instruct --data chats.jsonl --iterations 3 --lora-r 32',
  schema: spinSchema,
  load: async () => (await import('../../recipes/spin.ts')).spin,
})
