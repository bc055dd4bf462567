/** `export --onnx --verify` with attune and ONNX Runtime in place of transformers.js: a sound folder is good, and each planted drift is found. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { afterAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../src/models/config.ts'
import { onnxFiles } from '../src/onnx/file.ts'
import { onnxWeights } from '../src/onnx/weights.ts'
import { convertToOnnx } from '../src/publish/convertModel.ts'
import { sizedProgram } from '../src/publish/exportOnnx.ts'
import { openMerged } from '../src/publish/mergedModel.ts'
import type { ExportReader } from '../src/publish/verify/reader.ts'
import { openTransformersReader } from '../src/publish/verify/transformersReader.ts'
import { verifyOnnx } from '../src/publish/verify/verifyOnnx.ts'
import { loadTokenizerFolder } from '../src/text/tokenizer.node.ts'
import { bytesOf } from '../src/util/bytes.ts'
import { makeChatModel } from './support/chatModel.ts'

const work = await mkdtemp(join(tmpdir(), 'attune-verify-onnx-'))
afterAll(() => rm(work, { recursive: true }))

const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'))

/** What transformers.js takes from the folder: the chat template from tokenizer_config.json, all else as attune. */
const standIn = async (folder: string): Promise<ExportReader> => {
  const tokenizer = (await loadTokenizerFolder(folder))!
  const ends = [(await json(join(folder, 'generation_config.json'))).eos_token_id].flat()
  const config = parseConfig(await json(join(folder, 'config.json')), folder)
  return {
    name: 'ONNX Runtime',
    tokenize: (text) => tokenizer.encode(text, { specialTokens: false }).ids,
    addsBos: tokenizer.addsBos,
    bosId: tokenizer.bosId,
    eosId: tokenizer.eosId,
    stopsAt: (id) => ends.includes(id),
    chatTemplate: (await json(join(folder, 'tokenizer_config.json'))).chat_template,
    logps: async (ids) => {
      const session = await ort.InferenceSession.create(join(folder, 'onnx', 'model.onnx'), { logSeverityLevel: 3 })
      const i64 = (values: readonly number[]) =>
        new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
      const empty = new ort.Tensor('float32', new Float32Array(0), [1, config.num_key_value_heads, 0, config.head_dim])
      const past = session.inputNames.filter((name) => name.startsWith('past')).map((name) => [name, empty])
      const { logits } = await session.run({
        input_ids: i64(ids),
        attention_mask: i64(ids.map(() => 1)),
        position_ids: i64(ids.map((_, i) => i)),
        ...Object.fromEntries(past),
      })
      const V = config.vocab_size
      return ids.slice(1).map((id, t) => {
        const scores = (logits.data as Float32Array).subarray(t * V, (t + 1) * V)
        return scores[id] - Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0))
      })
    },
    close: async () => {},
  }
}

const model = await makeChatModel(work)
const sound = join(work, 'onnx')
await convertToOnnx({ model, output: sound })

const wrongIn = async (folder: string) =>
  (await verifyOnnx({ model, file: folder, threads: 1 }, standIn)).filter(({ wrong }) => wrong.length)

/** What is found in a copy of the folder with a change. */
const planted = async (name: string, change: (folder: string) => Promise<void>) => {
  const folder = join(work, name)
  await cp(sound, folder, { recursive: true })
  await change(folder)
  return wrongIn(folder)
}

const edit = async (path: string, change: (file: Record<string, unknown>) => void) => {
  const file = await json(path)
  change(file)
  await writeFile(path, JSON.stringify(file))
}

const names = (found: readonly { name: string }[]) => found.map(({ name }) => name)

describe('a folder for transformers.js', () => {
  it('is good, with the chat template where transformers.js looks for it', async () => {
    expect(await wrongIn(sound)).toEqual([])
    expect((await json(join(sound, 'tokenizer_config.json'))).chat_template).toContain('Be kind.')
  })

  it('with another end token is refused', async () => {
    const found = await planted('end', (folder) =>
      edit(join(folder, 'generation_config.json'), (file) => {
        file.eos_token_id = 0
      }),
    )
    expect(names(found)).toEqual(['settings', 'end tokens'])
  })

  it('with another beginning, pre-tokenizer or template is refused', async () => {
    const found = await planted('texts', async (folder) => {
      await rm(join(folder, 'chat_template.jinja'))
      await edit(join(folder, 'tokenizer_config.json'), (file) => {
        file.chat_template = `${file.chat_template} `
      })
      await edit(join(folder, 'tokenizer.json'), (file) => {
        file.post_processor = null
        const vowels = { type: 'Split', pattern: { Regex: '[aeiou]' }, behavior: 'Isolated', invert: false }
        file.pre_tokenizer = { type: 'Sequence', pretokenizers: [vowels, file.pre_tokenizer] }
      })
    })
    expect(names(found)).toEqual(['tokens', 'chat template', 'beginning token'])
  })

  it('with a larger weight is refused by its name', async () => {
    const x = await (await openMerged(model)).params.get('model.layers.1.mlp.down_proj.weight')!.floats()
    const found = await planted('larger', async (folder) => {
      const path = join(folder, 'onnx', 'model.onnx')
      const copy = await readFile(path)
      copy.set(new Uint8Array(x.map((value) => 1.05 * value).buffer), copy.indexOf(Buffer.from(x.slice(0, 16).buffer)))
      await writeFile(path, copy)
    })
    expect(found[0]).toMatchObject({
      name: 'weights',
      wrong: ['model.layers.1.mlp.down_proj.weight is 1.050 times what it should be'],
    })
  })

  it('needs transformers.js, which the message says how to install', async () => {
    await expect(openTransformersReader(sound, work)).rejects.toThrow('npm install @huggingface/transformers')
  })
})

describe('weights of an ONNX file', () => {
  it('are read from files beside it, and a torn file is refused', async () => {
    const program = sizedProgram(await openMerged(model))
    const values = (name: string) => Float32Array.from({ length: sizes.get(name)! }, (_, i) => i % 7)
    const sizes = new Map(
      program.constants.map(({ name, shape }) => [name, (shape as number[]).reduce((a, b) => a * b, 1)]),
    )
    const files = new Map<string, Uint8Array>()
    for (const { name, chunks } of onnxFiles(program, 'model.onnx', async (name) => values(name), 2 ** 16)) {
      const parts: Uint8Array[] = []
      for await (const chunk of chunks) parts.push(chunk)
      files.set(name, Buffer.concat(parts))
    }
    expect(files.size).toBeGreaterThan(2)
    const open = async (name: string) => bytesOf(name, files.get(name)!)
    const found = await onnxWeights(await open('model.onnx'), open)
    for (const name of sizes.keys()) expect(await found.get(name)!.floats()).toEqual(values(name))
    const torn = bytesOf('model.onnx', files.get('model.onnx')!.subarray(0, -9))
    await expect(onnxWeights(torn, open)).rejects.toThrow('is torn, or no ONNX file')
  })
})
