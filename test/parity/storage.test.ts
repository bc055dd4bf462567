/** Forms of checkpoints: shards, torch files, half precision, GPT-2 names without prefix. */
import { afterAll, expect, it } from 'vitest'
import { loadPretrained } from '../../src/models/load.node.ts'
import { putWeights } from '../../src/passes/load.ts'
import { makeModel } from '../../src/passes/model.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import { fixture, fixtureTensors } from '../support/golden.ts'
import { logitsDifference } from '../support/logits.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const cases = ['storage-sharded', 'storage-bin', 'storage-bf16', 'storage-fp16', 'storage-gpt2-bare']

it.each(cases)('checkpoint %s loads and has the logits of transformers', async (name) => {
  const { architecture, config, params, unused } = await loadPretrained(fixture(`models/${name}`))
  expect(unused).toEqual([])
  expect(config.tie_word_embeddings).toBe(true)
  const model = makeModel({ architecture, config, backend, params: await putWeights(backend, params) })
  const golden = await fixtureTensors(`models/${name}/golden.safetensors`)
  expect(await logitsDifference(model, golden)).toBeLessThan(1e-4)
})
