import { grpoSchema } from '../../recipes/rl/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'grpo',
  summary: 'Learn from rewards of its own samples, each within its group (GRPO, DAPO, Dr. GRPO, GSPO)',
  example:
    'grpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data sums.jsonl --reward exact:answer --lora-r 32 --learning-rate 5e-5',
  schema: grpoSchema,
  load: async () => (await import('../../recipes/grpo.ts')).grpo,
})
