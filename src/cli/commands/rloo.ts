import { rlooSchema } from '../../recipes/rl/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'rloo',
  summary: "Learn from rewards of its own samples, each against the prompt's others (RLOO)",
  example:
    'rloo --model HuggingFaceTB/SmolLM2-135M-Instruct --data prompts.jsonl --reward runs/reward --lora-r 32 --learning-rate 5e-5',
  schema: rlooSchema,
  load: async () => (await import('../../recipes/rloo.ts')).rloo,
})
