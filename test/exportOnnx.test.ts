/** Exported ONNX decoders, run by onnxruntime with the inputs that transformers.js gives. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { afterAll, describe, expect, it } from 'vitest'
import { generate } from '../src/generate/generate.ts'
import { decoderProgram, decoderTables } from '../src/generate/onnxDecoder.ts'
import { onnxFiles } from '../src/onnx/file.ts'
import { openModel } from '../src/passes/open.node.ts'
import { exportOnnx } from '../src/publish/exportOnnx.ts'
import { type MergedModel, openMerged } from '../src/publish/mergedModel.ts'
import { fixture, fixtureTensors, largestDifference } from './support/golden.ts'

const work = await mkdtemp(join(tmpdir(), 'attune-onnx-'))
afterAll(() => rm(work, { recursive: true }))

const options = { intraOpNumThreads: 1, logSeverityLevel: 3 } as const

const i64 = (rows: readonly (readonly number[])[]) =>
  new ort.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length])

/** One step on left-padded rows. `mask` covers the cached tokens too. */
const run = async (
  session: ort.InferenceSession,
  { config }: MergedModel,
  ids: number[][],
  mask: number[][],
  past?: ort.InferenceSession.OnnxValueMapType,
) => {
  const T = ids[0].length
  const positions = mask.map((row) => {
    let seen = -1
    return row.map((real) => Math.max(0, (seen += real))).slice(-T)
  })
  const feeds: Record<string, ort.Tensor> = {
    input_ids: i64(ids),
    attention_mask: i64(mask),
    position_ids: i64(positions),
  }
  const empty = [ids.length, config.num_key_value_heads, 0, config.head_dim]
  for (let layer = 0; layer < config.num_hidden_layers; layer++)
    for (const side of ['key', 'value'])
      feeds[`past_key_values.${layer}.${side}`] =
        (past?.[`present.${layer}.${side}`] as ort.Tensor) ?? new ort.Tensor('float32', new Float32Array(0), empty)
  return session.run(feeds)
}

const lastRow = (logits: ort.Tensor, b: number): Float32Array => {
  const [, T, V] = logits.dims
  return (logits.data as Float32Array).subarray((b * T + T - 1) * V, (b + 1) * T * V)
}

const best = (scores: Float32Array) => scores.reduce((at, score, i) => (score > scores[at] ? i : at), 0)

const greedy = async (session: ort.InferenceSession, model: MergedModel, prompts: number[][], count: number) => {
  const width = Math.max(...prompts.map(({ length }) => length))
  const padded = prompts.map((prompt) => [...new Array(width - prompt.length).fill(0), ...prompt])
  const mask = prompts.map((prompt) => [...new Array(width - prompt.length).fill(0), ...prompt.map(() => 1)])
  const made: number[][] = prompts.map(() => [])
  let out = await run(session, model, padded, mask)
  for (;;) {
    for (const [b, ids] of made.entries()) ids.push(best(lastRow(out.logits as ort.Tensor, b)))
    if (made[0].length === count) return made
    for (const row of mask) row.push(1)
    out = await run(
      session,
      model,
      made.map((ids) => ids.slice(-1)),
      mask,
      out,
    )
  }
}

const own = async (dir: string, prompts: number[][], maxNewTokens: number) => {
  const opened = await openModel({ model: dir, device: 'cpu', threads: 1, inProcess: true })
  const made: number[][] = prompts.map(() => [])
  const settings = { maxNewTokens, temperature: 0, seed: 1, eosIds: new Set<number>() }
  for await (const { row, ids } of generate(opened.model, undefined, prompts, settings)) made[row].push(...ids)
  await opened.close()
  return made
}

const cases = [
  'llama-gqa-untied',
  'llama-rope-scaled',
  'mistral-sliding',
  'qwen2',
  'qwen3',
  'smollm3',
  'gemma2',
  'gemma3',
  'phi3',
  'phi4-mini',
  'granite',
  'ministral3',
  'mixtral',
  'gpt-oss',
  'gpt2',
]

describe.each(cases)('%s exported to ONNX', async (name) => {
  const dir = fixture(`models/${name}`)
  const model = await openMerged(dir)
  const out = join(work, name)
  await exportOnnx(model, out)
  const session = await ort.InferenceSession.create(join(out, 'onnx', 'model.onnx'), options)
  const golden = await fixtureTensors(`models/${name}/golden.safetensors`)

  it.each(['', 'left_'])('has the logits of transformers (%spadded batch)', async (prefix) => {
    const [B, T] = golden.shape(`${prefix}input_ids`)
    const rows = (values: number[]) => Array.from({ length: B }, (_, b) => values.slice(b * T, (b + 1) * T))
    const mask = await golden.ints(`${prefix}attention_mask`)
    const { logits } = await run(session, model, rows(await golden.ints(`${prefix}input_ids`)), rows(mask))
    const V = model.config.vocab_size
    const expected = await golden.floats(`${prefix}logits`)
    const far = largestDifference(logits.data as Float32Array, expected, (i) => mask[Math.floor(i / V)] === 1)
    expect(far).toBeLessThan(1e-4)
  })

  it('generates the tokens that attune generates, for prompts of different lengths', async () => {
    const prompts = [
      [1, 17, 5, 90, 33, 8, 41],
      [1, 60, 22],
    ]
    expect(await greedy(session, model, prompts, 10)).toEqual(await own(dir, prompts, 10))
  })
})

describe('an exported ONNX folder', () => {
  it('is not made of layers that ONNX programs of transformers.js have otherwise', async () => {
    const refused = exportOnnx(await openMerged(fixture('models/lfm2')), join(work, 'lfm2'))
    await expect(refused).rejects.toThrow('short convolutions are not exported to ONNX')
    const sharing = exportOnnx(await openMerged(fixture('models/gemma4')), join(work, 'gemma4'))
    await expect(sharing).rejects.toThrow('Gemma4ForCausalLM is not exported to ONNX')
  })

  it('has the files, inputs and outputs that transformers.js expects', async () => {
    const out = join(work, 'stories')
    await exportOnnx(await openMerged(fixture('models/stories260K')), out)
    const names = await readdir(out)
    for (const name of ['config.json', 'generation_config.json', 'onnx', 'tokenizer.json', 'tokenizer_config.json'])
      expect(names).toContain(name)
    const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))
    expect(config).toMatchObject({ num_key_value_heads: 4, head_dim: 8, 'transformers.js_config': { dtype: 'fp32' } })
    const session = await ort.InferenceSession.create(join(out, 'onnx', 'model.onnx'), options)
    const cache = (prefix: string) => [0, 1, 2, 3, 4].flatMap((i) => [`${prefix}.${i}.key`, `${prefix}.${i}.value`])
    expect([...session.inputNames].sort()).toEqual(
      ['attention_mask', 'input_ids', ...cache('past_key_values'), 'position_ids'].sort(),
    )
    expect(session.outputNames).toEqual(['logits', ...cache('present')])
  })

  it('stores the weights of a large model in external data files', async () => {
    const model = await openMerged(fixture('models/qwen3'))
    const { architecture, config, params } = model
    const program = decoderProgram(architecture, config)
    const tables = decoderTables(architecture, config)
    const constants = program.constants.map((port) =>
      tables.has(port.name) ? { ...port, shape: [config.max_position_embeddings, port.shape[1]] } : port,
    )
    const read = async (name: string) => tables.get(name) ?? (await params.get(name)!.floats())
    const files = onnxFiles({ ...program, constants }, 'model.onnx', read, 40_000)
    expect(files.map(({ name }) => name).slice(0, 3)).toEqual(['model.onnx', 'model.onnx_data', 'model.onnx_data_1'])
    for (const { name, chunks } of files) {
      const parts: Uint8Array[] = []
      for await (const chunk of chunks) parts.push(chunk)
      await writeFile(join(work, name), Buffer.concat(parts))
    }
    const session = await ort.InferenceSession.create(join(work, 'model.onnx'), options)
    const prompts = [[1, 17, 5, 90, 33]]
    expect(await greedy(session, model, prompts, 5)).toEqual(await own(fixture('models/qwen3'), prompts, 5))
  })
})
