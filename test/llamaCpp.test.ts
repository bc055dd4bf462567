/** Tokenizers converted to the form that llama.cpp and GGUF use. */
import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { llamaCppTokenizer } from '../src/text/llamaCpp.ts'
import { bytesOf } from '../src/util/bytes.ts'
import { fixture } from './support/golden.ts'

const files = async (name: string) => {
  const bundle = JSON.parse(gunzipSync(await readFile(fixture(`text/tokenizers/${name}.json.gz`))).toString())
  const source = (file: string) => {
    const value = bundle[file]
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return value ? bytesOf(file, new TextEncoder().encode(text)) : undefined
  }
  const template = source('chat_template.jinja')
  return {
    tokenizerJson: source('tokenizer.json')!,
    tokenizerConfig: source('tokenizer_config.json'),
    chatTemplates: template && { default: template },
  }
}

const rows = 4096

describe('llamaCppTokenizer', () => {
  it.each([
    ['bpe-gpt2', 'gpt2', 'gpt-2'],
    ['bpe-llama3', 'gpt2', 'llama-bpe'],
    ['bpe-qwen', 'gpt2', 'qwen2'],
    ['bpe-smollm', 'gpt2', 'smollm'],
    ['spm-gemma', 'llama', 'default'],
    ['spm-llama2', 'llama', 'default'],
    ['spm-metaspace', 'llama', 'default'],
  ])('%s becomes a "%s" tokenizer with the pre-tokenizer "%s"', async (name, algorithm, pre) => {
    const made = await llamaCppTokenizer(await files(name), rows)
    expect([made.algorithm, made.pre]).toEqual([algorithm, pre])
    expect(made.tokens).toHaveLength(rows)
    expect(made.tokens.at(-1)).toBe(`[PAD${rows - 1}]`)
    expect(made.types.at(-1)).toBe(5)
    expect(algorithm === 'gpt2' ? made.merges?.length : made.scores?.length).toBeGreaterThan(100)
    expect(made.bosId === undefined ? 3 : made.types[made.bosId]).toBe(3)
  })

  it.each([
    ['bpe-roberta', 'this pre_tokenizer (space before, bytes)'],
    ['wordpiece-bert', 'a WordPiece model'],
    ['unigram-albert', 'a Unigram model'],
  ])('%s is refused: %s', async (name, why) => {
    await expect(llamaCppTokenizer(await files(name), rows)).rejects.toThrow(why)
  })

  it('refuses a vocabulary larger than the embedding of the model', async () => {
    await expect(llamaCppTokenizer(await files('bpe-gpt2'), 10)).rejects.toThrow('where the model has 10 rows')
  })
})
