import { onlineDpoSchema } from '../../recipes/rl/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'online-dpo',
  summary: 'Learn from its own samples, ranked by their rewards (online DPO, K-wise)',
  example:
    'online-dpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data prompts.jsonl --reward runs/reward --lora-r 32 --learning-rate 5e-5',
  schema: onlineDpoSchema,
  load: async () => (await import('../../recipes/onlineDpo.ts')).onlineDpo,
})
