/** `export --verify` with attune itself in place of llama.cpp: a sound file is good, and each planted drift is found. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { toGguf } from '../src/checkpoint/ggufBlocks.ts'
import { dequantize } from '../src/checkpoint/ggufDequantize.ts'
import { score } from '../src/generate/score.ts'
import { loadPretrained } from '../src/models/load.node.ts'
import { openModel } from '../src/passes/open.node.ts'
import { convertToGguf } from '../src/publish/convertModel.ts'
import { turnTemplate } from '../src/publish/modelfile.ts'
import { compareWeights } from '../src/publish/verify/compare.ts'
import { refuseDrift } from '../src/publish/verify/expected.ts'
import { openLlamaReader } from '../src/publish/verify/llamaReader.ts'
import type { ExportReader } from '../src/publish/verify/reader.ts'
import { verifyGguf } from '../src/publish/verify/verifyGguf.ts'
import { ggufTokenizerTexts, loadTokenizerFolder } from '../src/text/tokenizer.node.ts'
import { makeChatModel } from './support/chatModel.ts'

const work = await mkdtemp(join(tmpdir(), 'attune-verify-'))
afterAll(() => rm(work, { recursive: true }))

/** attune's own reading of the file. */
const attuneReader = async (file: string): Promise<ExportReader> => {
  const tokenizer = (await loadTokenizerFolder(file))!
  const { generationConfig } = await loadPretrained(file)
  const ends = [generationConfig?.eos_token_id].flat()
  return {
    name: 'attune',
    tokenize: (text) => tokenizer.encode(text, { specialTokens: false }).ids,
    addsBos: tokenizer.addsBos,
    bosId: tokenizer.bosId,
    eosId: tokenizer.eosId,
    stopsAt: (id) => ends.includes(id),
    chatTemplate: (await ggufTokenizerTexts(file))!['chat_template.jinja'],
    logps: async (ids) => {
      const opened = await openModel({ model: file, device: 'cpu', threads: 1, inProcess: true })
      try {
        for await (const logps of score(opened.model, [{ ids, labels: [-100, ...ids.slice(1)] }])) return logps
        return []
      } finally {
        await opened.close()
      }
    },
    close: async () => {},
  }
}

const dir = await makeChatModel(work)
const file = join(work, 'model.gguf')
const { beside } = await convertToGguf({ model: dir, output: file, type: 'F32', system: 'Be brief.' })
const bytes = await readFile(file)

const wrongIn = async (path: string, reader = attuneReader) =>
  (await verifyGguf({ model: dir, file: path, threads: 1 }, reader)).filter(({ wrong }) => wrong.length)

const behind = (key: string, after = 0) => bytes.indexOf(key) + key.length + after

/** A copy of the file with a change of the same length. */
const planted = async (name: string, change: (copy: Buffer) => void | Promise<void>) => {
  const copy = Buffer.from(bytes)
  await change(copy)
  const path = join(work, `${name}.gguf`)
  await writeFile(path, copy)
  return wrongIn(path)
}

describe('a file that was exported', () => {
  it('is good', async () => {
    const checks = await verifyGguf({ model: dir, file, threads: 1 }, attuneReader)
    expect(checks.flatMap(({ wrong }) => wrong)).toEqual([])
    expect(checks.map(({ name }) => name)).toEqual([
      'settings',
      'weights',
      'tokens',
      'chat template',
      'beginning token',
      'end tokens',
      'log-probs',
    ])
    expect(() => refuseDrift(checks, file)).not.toThrow()
  })

  it.each(['Q4_K_M', 'Q4_0'] as const)('is good in %s too', async (type) => {
    const path = join(work, `${type}.gguf`)
    await convertToGguf({ model: dir, output: path, type })
    expect(await wrongIn(path)).toEqual([])
  })

  it('is good where its weights were in 4 bits before, which rounding to 5 makes larger', async () => {
    const x = Float32Array.from({ length: 32 * 40 }, (_, i) => ((7 * i) % 16) / 16 - 0.5)
    const due = [{ name: 'blk.0.ffn_up.weight', shape: [40, 32], data: async () => x }]
    const written = dequantize('Q5_1', toGguf('Q5_1', x, 'x'), 'x', 'x')
    const check = (floats: Float32Array) =>
      compareWeights(
        due,
        new Map([[due[0].name, { dtype: 'F32', blocks: 'Q5_1', shape: [40, 32], floats: async () => floats }]]),
      )
    const size =
      x.reduce((sum, value, i) => sum + value * written[i], 0) / x.reduce((sum, value) => sum + value * value, 0)
    expect(size).toBeGreaterThan(1.01)
    expect((await check(written)).wrong).toEqual([])
    expect((await check(written.map((value) => 1.03 * value))).wrong).toHaveLength(1)
  })

  it('may differ by what rounding to 8 bits does to the model, and hardly where nothing is rounded', async () => {
    const limits: string[] = []
    for (const type of ['F16', 'Q8_0'] as const) {
      const path = join(work, `limit-${type}.gguf`)
      await convertToGguf({ model: dir, output: path, type })
      const checks = await verifyGguf({ model: dir, file: path, threads: 1 }, attuneReader)
      expect(checks.flatMap(({ wrong }) => wrong)).toEqual([])
      limits.push(/of (\S+) allowed/.exec(checks.at(-1)!.found)![1])
    }
    expect(limits[0]).toBe('0.010')
    expect(Number(limits[1])).toBeGreaterThanOrEqual(0.05)
  })

  it('with another end token is refused', async () => {
    const found = await planted('end', (copy) => {
      copy.writeUInt32LE(0, behind('tokenizer.ggml.eos_token_id', 4))
    })
    expect(found.map(({ name }) => name)).toEqual(['end tokens'])
    expect(found[0].wrong.join()).toContain('the end token is 0')
    expect(() => refuseDrift(found, file)).toThrow(/end tokens: .*do not ship it/)
  })

  it('with the BOS flag the other way is refused', async () => {
    const found = await planted('bos', (copy) => {
      copy[behind('tokenizer.ggml.add_bos_token', 4)] ^= 1
    })
    expect(found.map(({ name }) => name)).toEqual(['beginning token'])
  })

  it('with a space in its template is refused', async () => {
    const found = await planted('template', (copy) => {
      const at = copy.indexOf("'<|im_end|>' + '\\n'") + "'<|im_end|>' + '".length
      copy.write('  ', at)
    })
    expect(found.map(({ name }) => name)).toEqual(['chat template'])
    expect(found[0].wrong[0]).toMatch(/^prompt 1, character \d+: " {2}/)
  })

  it('with another pre-tokenizer is refused', async () => {
    const found = await planted('pre', (copy) => {
      copy.write('stablelm2', behind('tokenizer.ggml.pre', 12))
    })
    expect(found.map(({ name }) => name)).toEqual(['tokens'])
    expect(found[0].wrong.join()).toContain('12345')
  })

  it('with a scaled tensor is refused by its name', async () => {
    const x = await (await loadPretrained(dir)).params.get('model.layers.1.mlp.down_proj.weight')!.floats()
    const found = await planted('scaled', (copy) => {
      const at = copy.indexOf(Buffer.from(x.slice(0, 16).buffer))
      for (let i = 0; i < x.length; i++) copy.writeFloatLE(1.05 * x[i], at + 4 * i)
    })
    expect(found.map(({ name }) => name)).toEqual(['weights'])
    expect(found[0].wrong).toEqual(['blk.1.ffn_down.weight is 1.050 times what it should be'])
  })

  it('that a program computes otherwise is refused', async () => {
    const found = await wrongIn(file, async (path) => {
      const reader = await attuneReader(path)
      return { ...reader, logps: async (ids) => (await reader.logps(ids)).map((logp) => logp - 0.1) }
    })
    expect(found.map(({ name }) => name)).toEqual(['log-probs'])
  })

  it('needs node-llama-cpp, which the message says how to install', async () => {
    await expect(openLlamaReader(file, work)).rejects.toThrow('npm install node-llama-cpp')
  })
})

describe('the files beside it', () => {
  it('are a Modelfile with the template, stops and system, and a card', async () => {
    const [modelfile, card] = await Promise.all(beside.map((path) => readFile(path, 'utf8')))
    expect(modelfile.split('\n').slice(1, 2)).toEqual(['FROM ./model.gguf'])
    expect(modelfile).toContain(
      '{{ if ne (index .Messages 0).Role "system" }}<|im_start|>system\nBe kind.<|im_end|>\n{{ end }}',
    )
    expect(modelfile).toContain('{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n')
    expect(modelfile).toContain('SYSTEM """Be brief."""')
    expect(modelfile).toMatch(/^PARAMETER stop "/m)
    expect(card).toContain('ollama create model -f model.Modelfile')
  })

  it('have the texts around turns that the chat template has', async () => {
    const { chat } = (await loadTokenizerFolder(dir))!
    expect(turnTemplate(chat!)).toEqual({
      start: '',
      system: { before: '<|im_start|>system\n', after: '<|im_end|>\n' },
      user: { before: '<|im_start|>user\n', after: '<|im_end|>\n' },
      assistant: { before: '<|im_start|>assistant\n', after: '<|im_end|>\n' },
      generation: '<|im_start|>assistant\n',
      withoutSystem: '<|im_start|>system\nBe kind.<|im_end|>\n',
    })
  })
})
