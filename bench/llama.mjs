/**
 * Measures decoding with llama.cpp: `npm run bench -- --llama DIR`, where node-llama-cpp is installed.
 * Exports the model folder to GGUF in each type and generates 64 tokens after a prompt of 64, at batch sizes 1 and 16, with the
 * sampling settings of decode.mjs. The rate is that of whole generations, the best of some rounds after a warm-up. Rows evaluated
 * together share a batch in node-llama-cpp. Its defaults are kept (KV cache in F16).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { exportGguf } from '../dist/publish/exportGguf.js'
import { openMerged } from '../dist/publish/mergedModel.js'

const types = ['F32', 'Q8_0', 'Q4_0']
const prompt = 64
const fresh = 64

const load = async (dir) => {
  const require = createRequire(join(resolve(dir), 'package.json'))
  const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')).href)
  return getLlama({ gpu: false, build: 'never', logLevel: 'error' })
}

/** Seconds to process the prompts and complete them, all rows at once. */
const complete = async (sequences, vocabulary, round) => {
  const from = performance.now()
  const rows = sequences.map(async (sequence, row) => {
    await sequence.clearHistory()
    const ids = Array.from({ length: prompt }, (_, i) => 3 + ((Math.imul(i + 1, 2_654_435_761 + 40_503 * (row + 100 * round)) >>> 8) % (vocabulary - 3)))
    let made = 0
    for await (const _ of sequence.evaluate(ids, { temperature: 0.8, topK: 50, topP: 1, yieldEogToken: true })) if (++made === fresh) break
    if (made < fresh) throw new Error(`llama.cpp ended after ${made} tokens`)
  })
  await Promise.all(rows)
  return (performance.now() - from) / 1000
}

/** Prints new tokens per second, prompt time included. @param dir where node-llama-cpp is installed @param model a folder */
export const benchLlama = async (dir, model, rounds = 3) => {
  const llama = await load(dir)
  const work = mkdtempSync(join(tmpdir(), 'attune-llama-'))
  const merged = await openMerged(model)
  const threads = cpus().length
  console.log('| llama.cpp, tokens/s | batch 1 | batch 16 |\n| --- | --- | --- |')
  try {
    for (const type of types) {
      const modelPath = join(work, `${type}.gguf`)
      await exportGguf(merged, type, modelPath)
      const loaded = await llama.loadModel({ modelPath })
      const rates = []
      for (const batch of [1, 16]) {
        const context = await loaded.createContext({ contextSize: prompt + fresh + 2, sequences: batch, batchSize: batch * prompt, threads })
        const sequences = Array.from({ length: batch }, () => context.getSequence())
        const times = []
        for (let round = 0; round <= rounds; round++) times.push(await complete(sequences, merged.config.vocab_size, round))
        rates.push((batch * fresh) / Math.min(...times.slice(1)))
        await context.dispose()
      }
      await loaded.dispose()
      rmSync(modelPath)
      console.log(`| ${type} | ${rates.map((rate) => rate.toFixed(1)).join(' | ')} |`)
    }
  } finally {
    rmSync(work, { recursive: true })
    await llama.dispose()
  }
}
