/** A completion has the same bits alone and beside others, where layers have no attention and where long prompts are read by layers. */
import { afterAll, expect, it } from 'vitest'
import { collect } from '../../test/support/collect.ts'
import { goldenModel } from '../../test/support/model.ts'
import { openBackend } from '../runtime/open.node.ts'
import { completions } from './completions.ts'
import { openScheduler } from './scheduler.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const requests = [1, 70, 5, 40, 130, 2].map((length, row) => ({
  row,
  prompt: Array.from({ length }, (_, i) => 3 + ((7 * i + 11 * row) % 100)),
  options: { temperature: 1, seed: 5, maxNewTokens: 4 + 2 * row, samples: 1 + (row % 2), eosIds: new Set<number>() },
}))

it.each(['lfm2', 'qwen3.5', 'llama-gqa-untied', 'gemma2'])('%s', async (name) => {
  const short = await goldenModel(backend, name)
  const model = { ...short, config: { ...short.config, max_position_embeddings: 256 } }
  const made = async (batchSize: number, some: typeof requests) => {
    const scheduler = openScheduler(model, undefined, { batchSize })
    const found = await Promise.all(some.map((request) => collect(completions(scheduler.submit(request)))))
    await scheduler.close()
    return found.map((samples) => samples.sort((a, b) => a.sample - b.sample).map(({ ids, logps }) => [ids, logps]))
  }
  const alone = (await Promise.all(requests.map((request) => made(1, [request])))).flat()
  for (const batchSize of [3, 16]) expect(await made(batchSize, requests)).toEqual(alone)
})
