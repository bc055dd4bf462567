/**
 * Measures decoding: `node bench/decode.mjs MODEL --batch B --prompt P --new N --quantize F --compute C`.
 * Prints {"rate": tokens/s of whole generations, "first": seconds to the first token, "memory": peak bytes resident}, the
 * best of some rounds. Prompts are token ids and no token ends a completion, so every peer makes the same number of tokens.
 */
import { parseArgs } from 'node:util'
import { openScheduler } from '../dist/generate/scheduler.js'
import { openModel } from '../dist/passes/open.node.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { batch: { type: 'string' }, prompt: { type: 'string' }, new: { type: 'string' }, rounds: { type: 'string', default: '3' }, threads: { type: 'string' }, quantize: { type: 'string', default: 'none' }, compute: { type: 'string', default: 'fp32' } },
})
const [batch, length, fresh, rounds] = [values.batch, values.prompt, values.new, values.rounds].map(Number)

const { model, close } = await openModel({ model: positionals[0], quantize: values.quantize, compute: values.compute, threads: values.threads && Number(values.threads) })
const scheduler = openScheduler(model, undefined, { batchSize: batch, packed: true })
const ids = (row) => Array.from({ length }, (_, i) => (Math.imul(i + 1, 2_654_435_761 + row * 40_503) >>> 8) % model.config.vocab_size)
const options = { temperature: 0.8, topK: 50, maxNewTokens: fresh, seed: 1, eosIds: new Set() }

const round = async (number) => {
  const started = performance.now()
  let first
  const complete = async (row) => {
    for await (const _ of scheduler.submit({ prompt: ids(row), row, options })) first ??= performance.now() - started
  }
  await Promise.all(Array.from({ length: batch }, (_, i) => complete(number * batch + i)))
  return { first: first / 1000, all: (performance.now() - started) / 1000 }
}

const best = { first: Number.POSITIVE_INFINITY, all: Number.POSITIVE_INFINITY }
// The first round warms up
for (let n = 0; n <= rounds; n++) {
  const { first, all } = await round(n)
  if (n > 0) Object.assign(best, { first: Math.min(best.first, first), all: Math.min(best.all, all) })
}
console.log(JSON.stringify({ rate: (batch * fresh) / best.all, first: best.first, memory: process.resourceUsage().maxRSS * 1024 }))
await scheduler.close()
await close()
