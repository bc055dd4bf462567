import { rewardSchema } from '../../recipes/reward/schema.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'reward',
  summary: 'Train a reward model on pairs, rankings or best-of-N choices',
  example: 'reward --model HuggingFaceTB/SmolLM2-135M-Instruct --data preferences.jsonl --lora-r 16 --eval-split 0.1',
  schema: rewardSchema,
  load: async () => (await import('../../recipes/reward/recipe.ts')).reward,
})
