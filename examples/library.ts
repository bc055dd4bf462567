/**
 * attune as a library: own rows, a custom loss, and the events of the run.
 * With Node 22.18 or newer: npm run build && node examples/library.ts
 */
import { type CustomLoss, dpo } from 'attune'

const data = [
  { prompt: 'Once upon a time', chosen: ', there was a kind dog.', rejected: ', there was a bad dog.' },
  { prompt: 'Lily saw a bird. She', chosen: ' gave it some bread.', rejected: ' threw a stone at it.' },
]

/** The loss of SimPO: mean log-prob per token, a margin of 1, no reference model. */
const loss: CustomLoss = ({ logps, lengths }) => {
  const perToken = logps.div(lengths)
  const gap = perToken.slice(1, 0, 1).sub(perToken.slice(1, 1, 2))
  return { loss: gap.sub(1).logSigmoid().neg().mean(), metrics: { gap: gap.mean() } }
}

const model = process.env.MODEL ?? 'test/fixtures/models/stories260K'
const output = process.env.RUN ?? 'attune-runs/example-library'
for await (const event of dpo({ model, data, output, epochs: 20, learningRate: 1e-3, loraR: 8, loss }))
  if (event.event === 'step') console.log(event.step, event.loss, event.gap)
