/**
 * Reinforcement learning (GRPO) with the reward function in rewards.ts: the model answers the questions in data/questions.jsonl,
 * several times each, and learns from the answers with the higher rewards. `npm run train`, or for fewer steps `npm run train -- 3`.
 */
import { grpo } from 'attune'

const maxSteps = Number(process.argv[2] ?? 30)
const output = `attune-runs/grpo-${Date.now()}`

for await (const event of grpo({
  model: '{{model}}',
  data: 'data/questions.jsonl',
  reward: ['rewards.ts'],
  output,
  maxSteps,
  batchSize: 4,
  numGenerations: 8,
  maxNewTokens: 48,
  loraR: 16,
  learningRate: 1e-4,
})) {
  if (event.event === 'step') console.log(`step ${event.step} of ${event.total_steps}: reward ${Number(event.reward).toFixed(3)}`)
  if (event.event === 'sample') console.log(`  ${event.completion.replaceAll(/\s+/g, ' ').slice(0, 100)}`)
  if (event.event === 'warning') console.log(`  note: ${event.message}`)
}
console.log(`npx attune chat --model ${output}`)
