import { ppoSchema } from '../../recipes/rl/ppoSchema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'ppo',
  summary: 'Learn from rewards of its own samples, held against a value function (PPO, PPO-ptx)',
  example:
    'ppo --model HuggingFaceTB/SmolLM2-135M-Instruct --data prompts.jsonl --reward runs/reward --lora-r 32 --learning-rate 5e-5',
  schema: ppoSchema,
  load: async () => (await import('../../recipes/ppo.ts')).ppo,
})
