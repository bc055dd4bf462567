import { reinforceSchema } from '../../recipes/rl/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'reinforce',
  summary: 'Learn from rewards of its own samples, against a moving baseline (REINFORCE)',
  example:
    'reinforce --model HuggingFaceTB/SmolLM2-135M-Instruct --data prompts.jsonl --reward runs/reward --lora-r 32 --learning-rate 5e-5',
  schema: reinforceSchema,
  load: async () => (await import('../../recipes/reinforce.ts')).reinforce,
})
