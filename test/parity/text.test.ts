/**
 * Tokenizers and chat templates compared with Hugging Face tokenizers 0.23, transformers 5.23 and Jinja2 3.1.
 * Fourteen small tokenizers, fifteen chat templates, and single parts of the pipeline and the template language. The files are
 * in test/fixtures/text.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { ChatOptions, Message } from '../../src/text/chat.ts'
import { readDecoder } from '../../src/text/decode.ts'
import { compileTemplate, renderTemplate } from '../../src/text/jinja/render.ts'
import { jsonPart } from '../../src/text/jsonPart.ts'
import { readNormalizer } from '../../src/text/normalize.ts'
import type { Piece } from '../../src/text/pieces.ts'
import { endOf, startOf, wholePiece } from '../../src/text/pieces.ts'
import { readPreTokenizer } from '../../src/text/preTokenize.ts'
import type { Tokenizer } from '../../src/text/tokenizer.ts'
import { loadTokenizer } from '../../src/text/tokenizer.ts'
import { bytesOf } from '../../src/util/bytes.ts'

const folder = new URL('../fixtures/text/', import.meta.url)
const unzipped = <T>(path: string): T => JSON.parse(gunzipSync(readFileSync(new URL(path, folder))).toString())
const list = (path: string) => readdirSync(new URL(path, folder)).map((name) => name.replace('.json.gz', ''))

type Case = {
  text: string
  raw?: string
  ids: number[]
  around: [number[], number[]]
  offsets: number[]
  ids_split?: number[]
} & { [key in 'decode' | 'decode_skip' | 'decode_cleaned' | 'decode_skip_cleaned']?: string | null }

type Files = { 'tokenizer.json': object; 'tokenizer_config.json': object; 'chat_template.jinja'?: string | null }
type Bundle = Files & {
  cases: Case[]
  pairs: { text: string; pair: string; ids: number[]; type_ids: number[]; offsets: number[] }[]
  long_runs: { unit: string; times: number; ids_rle: [number, number][] }[]
  streams: { skip_special_tokens: boolean; ids: number[]; emitted: string[]; flush: string; text: string }[]
}

const source = (name: string, content: string | object) =>
  bytesOf(name, new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content)))

const load = (files: Files, template?: string): Promise<Tokenizer> => {
  const jinja = template ?? files['chat_template.jinja']
  return loadTokenizer({
    tokenizerJson: source('tokenizer.json', files['tokenizer.json']),
    tokenizerConfig: source('tokenizer_config.json', files['tokenizer_config.json']),
    chatTemplates: jinja ? { default: source('chat_template.jinja', jinja) } : undefined,
  })
}

describe.each(list('tokenizers'))('tokenizer %s equals Hugging Face', async (name) => {
  const bundle = unzipped<Bundle>(`tokenizers/${name}.json.gz`)
  const tok = await load(bundle)

  it('in ids and offsets, with special tokens added, kept and split', () => {
    const encoded = (text: string) => {
      const { ids, offsets } = tok.encode(text, { specialTokens: false })
      return { text, ids, offsets: offsets.flat(), around: tok.encode(text).ids }
    }
    for (const { text, raw = text, ids, offsets, around, ids_split } of bundle.cases) {
      const full = [...around[0], ...ids, ...around[1]]
      expect({ ...encoded(raw), text }).toEqual({ text, ids, offsets, around: full })
      if (ids_split) expect(tok.encode(text, { specialTokens: false, splitSpecial: true }).ids).toEqual(ids_split)
    }
  })

  it('in decoded texts', () => {
    for (const row of bundle.cases)
      for (const key of ['decode', 'decode_skip'] as const) {
        const wanted = row[`${key}_cleaned`] ?? (row[key] === undefined ? row.text : row[key])
        const ids = [...row.around[0], ...row.ids, ...row.around[1]]
        if (wanted !== null) expect(tok.decode(ids, { skipSpecialTokens: key === 'decode_skip' })).toBe(wanted)
      }
    expect(tok.decode([])).toBe('')
  })

  it('in ids of text pairs', () => {
    for (const { text, pair, ids, type_ids, offsets } of bundle.pairs) {
      const got = tok.encodePair(text, pair)
      expect({ ids: got.ids, type_ids: got.typeIds, offsets: got.offsets.flat() }).toEqual({ ids, type_ids, offsets })
    }
  })

  it('in ids of long repetitions', () => {
    for (const { unit, times, ids_rle } of bundle.long_runs)
      expect(tok.encode(unit.repeat(times), { specialTokens: false }).ids).toEqual(
        ids_rle.flatMap(([id, count]) => new Array(count).fill(id)),
      )
  })

  it('in streamed decoding', () => {
    for (const { ids, emitted, flush, text, skip_special_tokens } of bundle.streams) {
      const stream = tok.stream({ skipSpecialTokens: skip_special_tokens })
      expect({ emitted: ids.map(stream.push), flush: stream.flush() }).toEqual({ emitted, flush })
      expect(tok.decode(ids, { skipSpecialTokens: skip_special_tokens })).toBe(text)
    }
    // clean_up_tokenization_spaces removes spaces across tokens, which a stream has already emitted
    const cleans = name === 'wordpiece-bert'
    for (const { ids } of cleans ? [] : bundle.cases.slice(0, 60)) {
      const stream = tok.stream()
      expect(ids.map(stream.push).join('') + stream.flush()).toBe(tok.decode(ids))
    }
  })
})

type Render = {
  options: Record<string, unknown>
  text?: string
  ids?: number[]
  ids_sanitized?: number[]
  assistant_mask?: string
  error?: string
  message?: string
}
type Chat = { messages: Message[]; tools?: unknown[]; documents?: unknown[]; renders: Render[] }
type ChatFile = { template: string; tokenizer: string; now: string; cases: Chat[] }

const optionsOf = ({ tools, documents }: Chat, { options }: Render, now: string): ChatOptions => {
  const { add_generation_prompt, continue_final_message, ...variables } = options
  return {
    tools,
    documents,
    addGenerationPrompt: add_generation_prompt === true,
    continueFinalMessage: continue_final_message === true,
    variables,
    now: () => new Date(now),
  }
}

const outcome = <T>(run: () => T): T | { error: string; message: string | undefined } => {
  try {
    return run()
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return { error: code, message: code === 'template' ? message : undefined }
  }
}

describe.each(list('chat'))('chat template %s equals transformers', async (name) => {
  const file = unzipped<ChatFile>(`chat/${name}.json.gz`)
  const tok = await load(unzipped<Bundle>(`tokenizers/${file.tokenizer}.json.gz`), file.template)
  const all = file.cases.flatMap((chat) => chat.renders.map((render) => ({ chat, render })))

  it.each(all)('in text, ids and assistant mask of case %#', ({ chat, render }) => {
    const options = optionsOf(chat, render, file.now)
    const { text, ids, assistant_mask, error, message } = render
    const got = outcome(() => {
      const { text, ids, assistantMask } = tok.chat!.encode(chat.messages, options)
      return { text, ids, assistant_mask: assistantMask?.join('') }
    })
    expect(got).toEqual(error ? { error, message } : { text, ids, assistant_mask })
    if (text !== undefined) expect(tok.chat!.render(chat.messages, options).text).toBe(text)
    const clean = outcome(() => tok.chat!.encode(chat.messages, { ...options, sanitize: true }).ids)
    // The sentinels of transformers change what this template sees and thus its text; attune adds none
    const reads = name === 'namespace-reasoning' && JSON.stringify(chat.messages).includes('</think>')
    const sanitized = reads ? ids : (render.ids_sanitized ?? ids)
    if (ids && (Array.isArray(clean) || render.ids_sanitized)) expect(clean).toEqual(sanitized)
  })
})

/** The tags become others that print the same white space, as if the template had been written without marks. */
const withoutMarks = (template: string) =>
  template
    .replace(/\{%([-+]?)\s*generation\s*([-+]?)%\}/g, '{%$1 if true $2%}')
    .replace(/\{%([-+]?)\s*endgeneration\s*([-+]?)%\}/g, '{%$1 endif $2%}')

describe('assistant masks derived from a template without its marks equal those of {% generation %}', () => {
  const marked = list('chat').flatMap((name) => {
    const file = unzipped<ChatFile>(`chat/${name}.json.gz`)
    return withoutMarks(file.template) === file.template ? [] : [{ name, file }]
  })

  it('on templates of three families', () => expect(marked.length).toBeGreaterThanOrEqual(3))

  it.each(marked)('$name', async ({ file }) => {
    const tok = await load(unzipped<Bundle>(`tokenizers/${file.tokenizer}.json.gz`), withoutMarks(file.template))
    let turns = 0
    for (const chat of file.cases)
      for (const render of chat.renders) {
        if (render.assistant_mask === undefined) continue
        const { text, ids, assistantMask } = tok.chat!.encode(chat.messages, {
          ...optionsOf(chat, render, file.now),
          deriveMask: true,
        })
        expect({ text, ids, mask: assistantMask?.join('') }).toEqual({
          text: render.text,
          ids: render.ids,
          mask: render.assistant_mask,
        })
        turns += chat.messages.filter(({ role }) => role === 'assistant').length
      }
    expect(turns).toBeGreaterThan(5)
  })

  it('and on the templates of the tokenizer class and of the TRL goldens', async () => {
    const trl = (name: string) => readFileSync(new URL(`../fixtures/trl/model/${name}`, import.meta.url), 'utf8')
    const classFiles = unzipped<Files & { chats: { messages: Message[] }[] }>('llama-class.json.gz')
    const trlFiles: Files = {
      ...classFiles,
      'tokenizer.json': JSON.parse(trl('tokenizer.json')),
      'tokenizer_config.json': JSON.parse(trl('tokenizer_config.json')),
      'chat_template.jinja': trl('chat_template.jinja'),
    }
    for (const files of [classFiles, trlFiles]) {
      const given = files['chat_template.jinja']!
      expect(withoutMarks(given)).not.toBe(given)
      const [marked, stripped] = await Promise.all([load(files), load(files, withoutMarks(given))])
      for (const { messages } of classFiles.chats) {
        const { ids, assistantMask } = marked.chat!.encode(messages)
        expect(assistantMask).toContain(1)
        expect(stripped.chat!.encode(messages, { deriveMask: true })).toMatchObject({ ids, assistantMask })
      }
    }
  })

  const plain = ['chatml', 'gemma', 'llama2', 'llama3', 'namespace-reasoning', 'strict-inst', 'tools-chatml', 'zephyr']
  it.each(plain)('in %s they hold what the assistant says and nothing else, or are refused by name', async (name) => {
    const file = unzipped<ChatFile>(`chat/${name}.json.gz`)
    const tok = await load(unzipped<Bundle>(`tokenizers/${file.tokenizer}.json.gz`), file.template)
    const squeezed = (text: unknown) => String(text ?? '').replace(/\s/g, '')
    let derived = 0
    for (const chat of file.cases)
      for (const render of chat.renders) {
        if (render.error || render.options.continue_final_message) continue
        const encode = () => tok.chat!.encode(chat.messages, { ...optionsOf(chat, render, file.now), deriveMask: true })
        const got = outcome(encode)
        if ('error' in got) {
          expect(got.error).toBe('no-generation-marks')
          continue
        }
        const text = (target: number) =>
          squeezed(tok.decode(got.ids.filter((_, t) => got.assistantMask![t] === target)))
        const turns = chat.messages.filter(({ role, content }) => role === 'assistant' && typeof content === 'string')
        for (const { content } of turns)
          if (!String(content).includes('</think>')) expect(text(1)).toContain(squeezed(content))
        if (!chat.messages.some(({ role }) => role === 'assistant')) expect(text(1)).toBe('')
        expect(text(1)).not.toMatch(/user|\[INST\]|<start_of_turn>|start_header_id|im_start/)
        derived += turns.length
      }
    expect(derived).toBeGreaterThan(5)
  })
})

describe('a part of the tokenizer pipeline equals Hugging Face', () => {
  type Part<T> = { cfg: object; out: T[] }
  type Split = [string, [number, number]]
  const parts = unzipped<{
    texts: string[]
    toks: string[][]
    pre: Part<Split[]>[]
    norm: Part<[string, Split[]]>[]
    dec: Part<string | null>[]
  }>('parts.json.gz')
  const spans = (pieces: Piece[]): Split[] =>
    pieces.map((piece) => [piece.text, [startOf(piece, 0), endOf(piece, piece.text.length - 1)]])
  const byTwo = readPreTokenizer(jsonPart('', { type: 'FixedLength', length: 2 }))

  it.each(parts.pre)('pre-tokenizer $cfg', ({ cfg, out }) => {
    const preTokenize = readPreTokenizer(jsonPart('', cfg))
    parts.texts.forEach((text, i) => {
      if (text) expect(spans(preTokenize([wholePiece(text)]))).toEqual(out[i])
    })
  })

  it.each(parts.norm)('normalizer $cfg', ({ cfg, out }) => {
    const normalize = readNormalizer(jsonPart('', cfg))
    parts.texts.forEach((text, i) => {
      const piece = normalize(wholePiece(text))
      expect([piece.text, spans(byTwo([piece]))]).toEqual(out[i])
    })
  })

  it.each(parts.dec)('decoder $cfg', ({ cfg, out }) => {
    const { decode } = readDecoder(jsonPart('', cfg))
    parts.toks.forEach((tokens, i) => {
      if (out[i] !== null) expect(decode(tokens).join('')).toBe(out[i])
    })
  })
})

describe('a template snippet renders as in Jinja2', () => {
  type Snippet = { template: string; text?: string; error?: string; syntax?: string; other?: string }
  const snippets: Snippet[] = JSON.parse(readFileSync(new URL('jinja.json', folder), 'utf8'))
  const messages = [
    { role: 'user', content: 'Hello there' },
    { role: 'assistant', content: 'Hi <b>' },
    { role: 'user', content: 'Bye' },
  ]

  it.each(snippets)('$template', ({ template, text, error }) => {
    const got = outcome(() => renderTemplate(compileTemplate(template), { messages, tools: null }).text)
    if (text !== undefined) expect(got).toBe(text)
    else expect(got).toMatchObject({ error: 'template', ...(error !== undefined && { message: error }) })
  })
})

describe('tokenizer class LlamaTokenizer', () => {
  const files = unzipped<
    Files & {
      texts: { text: string; ids: number[]; offsets: number[] }[]
      chats: { messages: Message[]; ids: number[]; mask: number[] }[]
    }
  >('llama-class.json.gz')

  it('puts the space marker before the first word only, as transformers 5 does', async () => {
    const tok = await load(files)
    for (const { text, ids, offsets } of files.texts) {
      const got = tok.encode(text)
      expect({ ids: got.ids, offsets: got.offsets.flat() }).toEqual({ ids, offsets })
    }
    for (const { messages, ids, mask } of files.chats)
      expect(tok.chat!.encode(messages)).toMatchObject({ ids, assistantMask: mask })
  })

  it('keeps tokenizer.json unchanged for other model types', async () => {
    const tok = await loadTokenizer({
      tokenizerJson: source('tokenizer.json', files['tokenizer.json']),
      tokenizerConfig: source('tokenizer_config.json', files['tokenizer_config.json']),
      modelConfig: source('config.json', { model_type: 'phi3' }),
    })
    expect(tok.encode('<s>\n', { specialTokens: false }).tokens).toEqual(['<s>', '▁', '<0x0A>'])
  })
})
