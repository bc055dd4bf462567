/**
 * KL(P || Q) of two small distributions: exactly, and estimated from draws of P as the methods of reinforcement learning do.
 * With Node 22.18 or newer: npm run build && node examples/kl.ts
 */
import { klEstimate } from 'attune/objectives/kl'

/** What both say of each of three tokens. */
const tokens = [
  { p: 0.2, q: 0.1 },
  { p: 0.5, q: 0.4 },
  { p: 0.3, q: 0.5 },
]

const exact = tokens.reduce((sum, { p, q }) => sum + p * Math.log(p / q), 0)
console.log(`exact  ${exact.toFixed(10)}`)

// In place of random draws each token comes up in a share of p
const draws = tokens.flatMap((token) => Array<typeof token>(Math.round(1000 * token.p)).fill(token))
for (const estimator of ['k1', 'k2', 'k3'] as const) {
  const values = draws.map(({ p, q }) => klEstimate(Math.log(p), Math.log(q), estimator))
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  console.log(`${estimator}     ${mean.toFixed(4)}, standard deviation of a draw ${Math.sqrt(variance).toFixed(4)}`)
}
