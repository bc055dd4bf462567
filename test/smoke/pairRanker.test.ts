/** Pair rankers end to end: a rule is learned from a random encoder, a resumed run ends as an uninterrupted one, and rewards. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { rankFiles } from '../../src/feedback/rank.ts'
import { parseConfig } from '../../src/models/config.ts'
import { initWeights } from '../../src/models/init.ts'
import { loadPretrained } from '../../src/models/load.node.ts'
import { architectureOf } from '../../src/models/registry.ts'
import { modelFiles } from '../../src/models/save.ts'
import { openRanker } from '../../src/passes/openRanker.node.ts'
import { writeModelFolder } from '../../src/publish/modelFolder.ts'
import { bestOfN } from '../../src/recipes/bestOfN.ts'
import { reward } from '../../src/recipes/reward.ts'
import { bestOfNSchema } from '../../src/recipes/rl/schema.ts'
import { fileSource } from '../../src/util/files.node.ts'
import { fixture } from '../support/golden.ts'
import { hashOf, ids, stopAfter, testFolder, tiny, train } from '../support/training.ts'

const { at, rows } = testFolder()

const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const deberta = {
  ...{ architectures: ['DebertaV2Model'], model_type: 'deberta-v2', vocab_size: 32, hidden_size: 32 },
  ...{ intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 64 },
  ...{ max_relative_positions: -1, position_buckets: 16, relative_attention: true, share_att_key: true },
  ...{ norm_rel_ebd: 'layer_norm', pos_att_type: ['p2c', 'c2p'], position_biased_input: false, type_vocab_size: 0 },
  ...{ pad_token_id: 0, layer_norm_eps: 1e-7, initializer_range: 0.1 },
}

/** A random encoder. */
const encoder = async (name: string, given: object = deberta) => {
  const config = parseConfig(given, 'config.json')
  const architecture = architectureOf(config, 'config.json')
  const files = modelFiles({ architecture, config, params: initWeights(architecture, config, 42) }, 'F32')
  await writeModelFolder(at(name), files, { stem: 'model' })
  return at(name)
}

/** Two responses of 3 to 10 ids of which the one with more 7s is the better. */
const ruled = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => {
    const of = (stream: number, sevens: number) => {
      const other = ids(stream, 4 + (stream % 4)).map((id) => 8 + (id % 24))
      return other.map((id, i) => ((i + stream) % other.length < sevens ? 7 : id))
    }
    const stream = 3 * (from + n)
    const fewer = stream % 3
    return {
      prompt: ids(stream, 3).map((id) => 8 + (id % 24)),
      chosen: of(stream + 1, fewer + 2),
      rejected: of(stream + 2, fewer),
    }
  })

it('a pair ranker learns a rule from a random encoder: it ranks more than 95 % of new triples', async () => {
  const model = await encoder('encoder')
  const data = await rows('ruled', ruled(0, 640))
  const evalData = [await rows('ruled-eval', ruled(1000, 100))]
  const settings = { model, data, evalData, kind: 'pair', batchSize: 16, learningRate: 3e-3, maxSteps: 40, epochs: 1 }
  const { events, end } = await train(reward, { ...settings, output: at('ruled') })
  const evals = events.filter(({ event }) => event === 'eval') as unknown as Record<string, number>[]
  expect(evals[0].eval_accuracy).toBeLessThan(0.8)
  expect(evals.at(-1)!.eval_accuracy).toBeGreaterThan(0.95)
  expect(evals.at(-1)!.eval_comparisons).toBe(100)
  // The result has PairRM's layout, and ranks new triples
  const { tensors } = await openSafetensors(await fileSource(join(end.output, 'model.safetensors')))
  expect([...tensors.keys()].every((name) => /^(pretrained_model|head_layer)\./.test(name))).toBe(true)
  const config = JSON.parse(await readFile(join(end.output, 'config.json'), 'utf8'))
  expect(config).toMatchObject({
    architectures: ['DebertaV2PairRM'],
    source_prefix_id: 32,
    cand2_prefix_id: 34,
    vocab_size: 36,
  })
  const triples = ruled(2000, 60).map(({ prompt, chosen, rejected }, i) => ({
    prompt,
    candidates: i % 2 ? [chosen, rejected] : [rejected, chosen],
  }))
  const ranker = await openRanker({ model: at('ruled'), inProcess: true, threads: 1 })
  try {
    const files = [await rows('triples', triples)]
    const { ranked } = await rankFiles(ranker, { data: files, method: 'full' })
    const lines = await all(ranked)
    const right = lines.filter((line, i) => 'ranks' in line && line.ranks[i % 2 ? 0 : 1] === 1)
    expect(right.length / triples.length).toBeGreaterThan(0.95)
    // A bubble sort of consistent scores comes to the same ranks
    const sorted = await all((await rankFiles(ranker, { data: files, method: 'bubble' })).ranked)
    expect(sorted.map((line) => 'ranks' in line && line.ranks)).toEqual(
      lines.map((line) => 'ranks' in line && line.ranks),
    )
  } finally {
    await ranker.close()
  }
})

it('a resumed run ends as an uninterrupted one, and either loss and a pair ranker can be trained', async () => {
  const lists = Array.from({ length: 12 }, (_, i) => ({
    prompt: ids(5 * i, 3),
    responses: [1, 2, 3].map((k) => ids(5 * i + k, 4 + k)),
    ranks: [2, 1, 2],
  }))
  const settings = { model: fixture('models/pair-ranker'), data: await rows('lists', lists), kind: 'pair', maxSteps: 4 }
  const whole = await train(reward, { ...settings, pairLoss: 'labels', output: at('whole') })
  expect(whole.losses.every(Number.isFinite)).toBe(true)
  const { signal, each } = stopAfter(2)
  await train(reward, { ...settings, pairLoss: 'labels', output: at('parts') }, { signal }, each)
  await train(reward, { ...settings, pairLoss: 'labels', output: at('parts'), resume: true })
  expect(await hashOf(at('parts'))).toBe(await hashOf(at('whole')))
})

it('a new ranker of an encoder with a tokenizer reads its markers, in the saved folder too', async () => {
  const file = gunzipSync(await readFile(fixture('text/tokenizers/wordpiece-bert.json.gz'))).toString()
  const { 'tokenizer.json': json, 'tokenizer_config.json': config } = JSON.parse(file)
  const vocab_size =
    1 +
    Math.max(...(Object.values(json.model.vocab) as number[]), ...json.added_tokens.map(({ id }: { id: number }) => id))
  const bert = {
    ...{ architectures: ['BertModel'], model_type: 'bert', vocab_size, hidden_size: 16, intermediate_size: 16 },
    ...{
      num_hidden_layers: 1,
      num_attention_heads: 2,
      max_position_embeddings: 48,
      type_vocab_size: 2,
      pad_token_id: 0,
    },
  }
  const model = await encoder('bert', bert)
  await writeFile(join(model, 'tokenizer.json'), JSON.stringify(json))
  await writeFile(join(model, 'tokenizer_config.json'), JSON.stringify(config))
  const long = 'more and more and more and more and more and more and more and more and more and more words'
  const pairs = [{ prompt: 'say hello', chosen: 'hello', rejected: `no ${long}` }]
  const settings = { model, data: await rows('texts', pairs), kind: 'pair', maxSteps: 1, batchSize: 1 }
  const { events, end } = await train(reward, { ...settings, output: at('texts') })
  expect(events.filter((event) => event.event === 'warning').map(({ code }) => code)).toContain('truncated')
  const ranker = await openRanker({ model: end.output, inProcess: true, threads: 1 })
  try {
    const first = ranker.tokenizer!.tokenToId('<|source|>')
    expect(first).toBeGreaterThanOrEqual(vocab_size - 4)
    const [[row]] = await ranker.logits([{ source: 'say hello', candidates: ['hello', 'no [SEP] <|candidate1|>'] }])
    expect(row).toHaveLength(2)
    expect(Number.isFinite(row[1])).toBe(true)
  } finally {
    await ranker.close()
  }
})

it("LLM-Blender's own folders, whose config.json says nothing of the encoder, load as the -hf form", async () => {
  await mkdir(at('blender'))
  // Heads of 64, as in every DeBERTa v3
  const wide = await encoder('wide', { ...deberta, hidden_size: 64, num_attention_heads: 1 })
  const data = await rows('two', ruled(0, 4))
  const { end } = await train(reward, { model: wide, data, kind: 'pair', maxSteps: 1, output: at('wide-ranker') })
  const hf = await loadPretrained(end.output)
  const blender = {
    ranker_type: 'pairranker',
    model_type: 'deberta',
    model_name: 'microsoft/deberta-v3-large',
    n_tasks: 1,
  }
  await writeFile(
    at('blender/config.json'),
    JSON.stringify({ ...blender, source_maxlength: 1224, candidate_maxlength: 412 }),
  )
  await cp(join(end.output, 'model.safetensors'), at('blender/model.safetensors'))
  const own = await loadPretrained(at('blender'))
  expect(own.architecture.name).toBe('DebertaV2PairRM')
  expect(own.unused).toEqual([])
  for (const key of [
    'vocab_size',
    'hidden_size',
    'num_hidden_layers',
    'num_attention_heads',
    'intermediate_size',
  ] as const)
    expect(own.config[key], key).toBe(hf.config[key])
  for (const key of ['source_prefix_id', 'cand1_prefix_id', 'cand2_prefix_id', 'position_buckets'])
    expect(own.config.raw[key], key).toBe(hf.config.raw[key])
  await writeFile(at('blender/config.json'), JSON.stringify({ ...blender, ranker_type: 'summareranker' }))
  await expect(loadPretrained(at('blender'))).rejects.toThrow(/"summareranker"/)
})

it('as a source of rewards compares the samples of a prompt, and needs two of them', async () => {
  const data = [await rows('prompts', [{ prompt: [5, 6, 9] }, { prompt: [9, 9] }])]
  const settings = (numGenerations: number) =>
    bestOfNSchema.parse({
      model: tiny,
      data,
      reward: [fixture('models/pair-ranker')],
      numGenerations,
      maxNewTokens: 6,
      threads: 1,
    })
  const run = async (n: number) => {
    const events = bestOfN(settings(n))
    for (;;) {
      const { done, value } = await events.next()
      if (done) return value!
    }
  }
  const { rows: best, table } = await run(4)
  expect(best).toHaveLength(2)
  for (const { reward: value } of best) expect(value).toBeGreaterThan(0)
  // Against each other, samples win as much as they lose
  expect(table[0].reward).toBeCloseTo(0, 5)
  await expect(run(1)).rejects.toThrow(/compares samples of one prompt, and there is one/)
})

it.each([
  [{ loraR: 4 }, /--lora-r.*--kind pair/],
  [{ centerRewards: 0.1 }, /--center-rewards/],
  [{ model: tiny }, /no encoder: LlamaForCausalLM/],
])('%o is refused', async (given, message) => {
  const settings = {
    model: fixture('models/bert'),
    data: await rows('few', ruled(0, 4)),
    kind: 'pair',
    output: at('refused'),
  }
  await expect(train(reward, { ...settings, ...given })).rejects.toThrow(message)
})

it('other methods and kinds refuse an encoder and a pair ranker by name', async () => {
  const data = await rows('few-more', ruled(0, 4))
  await expect(train(reward, { model: fixture('models/roberta'), data, output: at('no') })).rejects.toThrow(
    /encoder \(RobertaModel\)/,
  )
  await expect(openRanker({ model: tiny, inProcess: true })).rejects.toThrow(/no pair ranker/)
})
