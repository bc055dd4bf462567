/**
 * A model learns from a function: how many of its stories are happy, before and after?
 * With Node 22.18 or newer: npm run build && node examples/first.ts
 */
import { grpo, load, type ModelName } from 'attune'

const data = ['Once upon a time', 'Lily and her mom', 'Tom had a red ball.', 'The old man', 'One day, Ben'].map(
  (prompt) => ({ prompt }),
)
const isHappy = (text: string) => /\b(happy|smiled|laughed)\b/.test(text)

/** How many of 50 stories are happy. */
const happyStories = async (name: ModelName) => {
  const model = await load(name)
  const stories = await Promise.all(
    data.flatMap(({ prompt }) =>
      Array.from({ length: 10 }, (_, seed) => model.generate(prompt, { seed, maxNewTokens: 40 })),
    ),
  )
  await model.close()
  return stories.filter(({ text }) => isHappy(text)).length
}

const model = process.env.MODEL ?? 'test/fixtures/models/stories260K'
console.log(`before: ${await happyStories(model)} of 50 stories are happy`)
const run = grpo({
  model,
  data,
  reward: (rows) => rows.map(({ completion }) => Number(isHappy(completion))),
  loraR: 8,
  learningRate: 3e-3,
  numGenerations: 8,
  maxNewTokens: 40,
  batchSize: 5,
  epochs: 10,
})
for await (const event of run) if (event.event === 'step') console.log(`step ${event.step}: reward ${event.reward}`)
console.log(`after: ${await happyStories(await run)} of 50`)
