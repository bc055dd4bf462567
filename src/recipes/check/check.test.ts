/** Planted mistakes that `attune check` must find, and clean data that it must pass, on a small real model. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { fixture } from '../../../test/support/golden.ts'
import { type CheckSettings, type CheckSummary, checkRows, refuseRuined, type ShownRow } from './check.ts'
import { findingCodes } from './findings.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-check-'))
afterAll(() => rmSync(root, { recursive: true }))

let made = 0
const written = (rows: readonly object[]): string => {
  const path = join(root, `rows${made++}.jsonl`)
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}

type Json = Record<string, unknown> & { model: Record<string, unknown> }

/** The small model, with a chat template or changed files. */
const model = (template?: string, change: Readonly<Record<string, (json: Json) => void>> = {}): string => {
  const dir = join(root, `model${made++}`)
  cpSync(fixture('models/stories260K'), dir, { recursive: true })
  if (template) writeFileSync(join(dir, 'chat_template.jinja'), template)
  for (const [file, edit] of Object.entries(change)) {
    const json = JSON.parse(readFileSync(join(dir, file), 'utf8'))
    edit(json)
    writeFileSync(join(dir, file), JSON.stringify(json))
  }
  return dir
}

const turns = (end: string, prompt = "{% if add_generation_prompt %}{{ 'A: ' }}{% endif %}") =>
  `{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ 'A: ' + m.content ${end} }}{% else %}{{ 'Q: ' + m.content + '\n' }}{% endif %}{% endfor %}${prompt}`
const template = turns('+ eos_token')

const plain = model()
const chat = model(template)

type Given = Partial<Omit<CheckSettings, 'data' | 'evalData'>> & {
  data: readonly object[]
  evalData?: readonly object[]
}
const check = async ({ data, evalData, ...given }: Given) => {
  const rows: ShownRow[] = []
  let sums: CheckSummary | undefined
  const settings: CheckSettings = {
    ...{ model: plain, for: 'sft', column: {}, chat: false, maxLength: 1024, rows: 3, seed: 42 },
    ...{ assistantOnlyLoss: false, completionOnlyLoss: true },
    ...given,
    data: [written(data)],
    evalData: evalData && [written(evalData)],
  }
  for await (const event of checkRows(settings)) {
    if (event.event === 'row') rows.push(event)
    if (event.event === 'check') sums = event
  }
  return { rows, sums: sums! }
}

const animals = ['dog', 'cat', 'bird', 'fish', 'fox', 'bear']
const each = <T>(row: (animal: string, i: number) => T): T[] => animals.map(row)
const says = (role: string, content: string) => ({ role, content })
const talk = (animal: string) => ({
  messages: [says('user', `Where is the ${animal}?`), says('assistant', `The ${animal} is at home.`)],
})
const completions = each((animal) => ({ prompt: `The ${animal}`, completion: ` saw a big ${animal} in the park.` }))
const pairs = each((animal) => ({
  prompt: `The ${animal}`,
  chosen: ` ran home to the ${animal}.`,
  rejected: ` ${animal} ran.`,
}))
const thumbs = each((animal, i) => ({ prompt: `The ${animal}`, completion: ` was number ${i}.`, label: i % 2 === 0 }))
const prompts = each((animal) => ({ prompt: `Once upon a time there was a ${animal}` }))

describe('clean rows pass', () => {
  const clean: Record<string, Given> = {
    texts: { data: each((animal) => ({ text: `Once there was a ${animal}.` })) },
    completions: { data: completions },
    conversations: { model: chat, data: each(talk) },
    'conversations, the assistant only': { model: chat, data: each(talk), assistantOnlyLoss: true },
    pairs: { data: pairs, for: 'dpo' },
    'pairs for a reward model': { data: pairs, for: 'reward' },
    thumbs: { data: thumbs, for: 'kto' },
    prompts: { data: prompts, for: 'grpo' },
    'with other rows held out': { data: completions.slice(0, 4), evalData: completions.slice(4) },
  }
  it.each(Object.entries(clean))('%s', async (_, given) => {
    const { sums } = await check(given)
    expect(sums.findings).toEqual([])
    expect(sums.used).toBe(given.data.length)
    expect(() => refuseRuined(sums.findings)).not.toThrow()
  })
})

const withoutEnd = model(turns(''))
const noStop = model(undefined, {
  'config.json': (json) => delete json.eos_token_id,
  'generation_config.json': (json) => delete json.eos_token_id,
  'tokenizer_config.json': (json) => {
    delete json.eos_token
    json.tokenizer_class = 'PreTrainedTokenizerFast'
  },
})
const noHeader = model(turns('+ eos_token', ''))
const noBytes = model(undefined, {
  'tokenizer.json': (json) => {
    json.model.byte_fallback = false
  },
  'tokenizer_config.json': (json) => {
    json.tokenizer_class = 'PreTrainedTokenizerFast'
  },
})
const changed = <T extends object>(rows: readonly T[], change: (row: T, i: number) => object) =>
  rows.map((row, i) => ({ ...row, ...change(row, i) }))

describe('a planted mistake is found, and ends the command with 2', () => {
  const planted: Record<string, [code: string, given: Given]> = {
    'a template without the stop token': ['no-stop', { model: withoutEnd, data: each(talk) }],
    'a template without the stop token, for pairs': [
      'no-stop',
      { model: withoutEnd, for: 'dpo', data: changed(pairs, ({ prompt }) => ({ prompt: [says('user', prompt)] })) },
    ],
    'a model without a stop token': ['no-stop-token', { model: noStop, data: completions }],
    'token ids without the stop token': [
      'no-stop',
      { data: each((_, i) => ({ prompt_ids: [1, 403], completion_ids: [407, 261 + i] })) },
    ],
    'markup of another template in texts': [
      'foreign-markup',
      {
        data: each((animal) => ({
          text: `<|im_start|>user\nA ${animal}?<|im_end|>\n<|im_start|>assistant\nNo.<|im_end|>`,
        })),
      },
    ],
    'conversations for a model without a template': ['no-template', { data: each(talk) }],
    'a template that is refused by the masks': [
      'no-generation-marks',
      { model: noHeader, data: each(talk), assistantOnlyLoss: true },
    ],
    'BOS written in the text and added': [
      'bos-twice',
      { data: changed(completions, ({ prompt }) => ({ prompt: `<s>${prompt}` })) },
    ],
    'BOS before the completion': [
      'bos-before-completion',
      { data: each((_, i) => ({ prompt_ids: [1, 403], completion_ids: [1, 261 + i, 2] })) },
    ],
    'prompts whose generation prompt the turn does not begin with': [
      'prompt-not-prefix',
      {
        model: model(turns('+ eos_token', "{% if add_generation_prompt %}{{ 'Bot: ' }}{% endif %}")),
        for: 'dpo',
        data: changed(pairs, ({ prompt }) => ({ prompt: [says('user', prompt)] })),
      },
    ],
    'chosen equal to rejected': [
      'equal-replies',
      { for: 'dpo', data: changed(pairs, ({ chosen }) => ({ rejected: chosen })) },
    ],
    'responses that differ behind the length limit only': [
      'equal-replies',
      {
        for: 'dpo',
        maxLength: 12,
        data: changed(pairs, () => ({
          chosen: ' ran and ran and ran to a dog',
          rejected: ' ran and ran and ran to a cat',
        })),
      },
    ],
    'a length limit that cuts every end': ['cut-stop', { maxLength: 8, data: completions }],
    'a length limit that leaves nothing': ['no-rows-left', { for: 'dpo', maxLength: 2, data: pairs }],
    'prompts that are all too long': ['no-rows-left', { for: 'grpo', maxPromptLength: 2, data: prompts }],
    'swapped sides, by their ratings': [
      'ratings-against-order',
      { for: 'dpo', data: changed(pairs, () => ({ score_chosen: 1, score_rejected: 9 })) },
    ],
    'swapped sides, by what they say': [
      'better-is-empty',
      { for: 'dpo', data: changed(pairs, ({ chosen }) => ({ chosen: ' ...', rejected: chosen })) },
    ],
    'pairs both ways round': [
      'pair-both-ways',
      {
        for: 'dpo',
        data: [...pairs, ...changed(pairs, ({ chosen, rejected }) => ({ chosen: rejected, rejected: chosen }))],
      },
    ],
    'labels that are all good': ['all-good', { for: 'kto', data: changed(thumbs, () => ({ label: true })) }],
    'labels that are all bad': ['all-bad', { for: 'kto', data: changed(thumbs, () => ({ label: false })) }],
    'labels that look reversed': [
      'good-is-empty',
      {
        for: 'kto',
        data: [
          ...changed(thumbs, (_, i) => ({ completion: ' .'.repeat(i + 1), label: true })),
          { ...thumbs[0], label: false },
        ],
      },
    ],
    'one completion with both labels': [
      'label-both-ways',
      { for: 'kto', data: [...thumbs, ...thumbs, ...changed(thumbs, ({ label }) => ({ label: !label }))] },
    ],
    'empty completions': ['empty-completion', { for: 'dpo', data: changed(pairs, () => ({ rejected: ' ' })) }],
    'the prompt inside of the completion': [
      'completion-repeats-prompt',
      {
        data: changed(completions, ({ completion }) => ({
          prompt: 'Tell me a story.',
          completion: `Tell me a story.${completion}`,
        })),
      },
    ],
    'one completion in all rows': ['one-completion', { data: changed(completions, () => ({ completion: ' ran.' })) }],
    'empty prompts': ['empty-prompt-text', { for: 'dpo', data: changed(pairs, () => ({ prompt: '' })) }],
    'conversations without the assistant': [
      'no-assistant-turn',
      { model: chat, data: each((animal) => ({ messages: [says('user', `A ${animal}?`)] })) },
    ],
    'prompts that hold the answer': [
      'prompt-has-answer',
      { model: chat, for: 'grpo', data: each((animal) => ({ prompt: talk(animal).messages })) },
    ],
    'held-out rows that are training rows': ['eval-in-train', { data: completions, evalData: completions.slice(2) }],
    'held-out rows that the limits leave nothing of': [
      'no-held-out-left',
      {
        maxPromptLength: 20,
        for: 'dpo',
        maxLength: 16,
        data: pairs,
        evalData: changed(pairs, () => ({ prompt: 'A dog. '.repeat(9) })),
      },
    ],
    'conversations of which nothing is learnt': [
      'no-target-left',
      { model: chat, assistantOnlyLoss: true, data: each((animal) => ({ messages: [says('user', `A ${animal}?`)] })) },
    ],
    'a script that the tokenizer does not know': [
      'unknown-tokens',
      { model: noBytes, data: each((_, i) => ({ text: `日本語の文章${i}です` })) },
    ],
    'token ids of another model': ['bad-id', { data: [{ text: 'A dog.' }, { input_ids: [1, 90_000] }].slice(1) }],
  }
  it.each(Object.entries(planted))('%s', async (_, [code, given]) => {
    const { sums } = await check(given)
    const found = sums.findings.find((finding) => finding.code === code)
    expect(sums.findings.map((finding) => finding.code)).toContain(code)
    expect(found).toMatchObject({ severity: 'ruins' })
    expect(found!.count).toBeGreaterThan(0)
    expect(found!.advice).not.toBe('')
    expect(() => refuseRuined(sums.findings)).toThrow(expect.objectContaining({ code: 'check-failed', exitCode: 2 }))
  })
})

describe('what concerns some rows is told with the first of them, and does not end the command', () => {
  const some: Record<string, [code: string, first: number, given: Given]> = {
    'a row twice': ['duplicates', 6, { data: [...completions, completions[2]] }],
    'a held-out row in the training rows': [
      'eval-in-train',
      1,
      { data: completions.slice(0, 4), evalData: [completions[5], completions[3]] },
    ],
    'one equal pair': [
      'equal-replies',
      1,
      { for: 'dpo', data: changed(pairs, ({ chosen }, i) => (i === 1 ? { rejected: chosen } : {})) },
    ],
    'one row cut': [
      'cut-stop',
      3,
      { maxLength: 40, data: changed(completions, (_, i) => (i === 3 ? { completion: ' ran'.repeat(60) } : {})) },
    ],
    'one completion without text': [
      'empty-completion',
      4,
      { for: 'dpo', data: changed(pairs, (_, i) => (i === 4 ? { rejected: '' } : {})) },
    ],
    'a stop token inside a text': [
      'special-token-in-text',
      2,
      { data: changed(completions, (_, i) => (i === 2 ? { completion: ' ran.</s> home' } : {})) },
    ],
    'letters decoded wrongly': [
      'broken-encoding',
      0,
      { data: changed(completions, (_, i) => (i ? {} : { completion: ' ran to the cafÃ©.' })) },
    ],
    'plain prompts for a chat model': ['plain-text-for-chat-model', 0, { model: chat, data: completions }],
    'one prompt in all rows': ['one-prompt', -1, { data: changed(completions, () => ({ prompt: 'The dog' })) }],
    'rows cut': [
      'truncated',
      3,
      { maxLength: 40, data: changed(completions, (_, i) => (i === 3 ? { completion: ' ran'.repeat(60) } : {})) },
    ],
    'a conversation that ends with a question': [
      'ends-without-answer',
      5,
      {
        model: chat,
        data: changed(each(talk), ({ messages }, i) =>
          i === 5 ? { messages: [...messages, says('user', 'And now?')] } : {},
        ),
      },
    ],
    'a tie': [
      'tie',
      0,
      {
        for: 'dpo',
        data: [
          { prompt: 'A', responses: [' b', ' c'], ranks: [1, 1] },
          { prompt: 'A', responses: [' b', ' c'], ranks: [1, 2] },
        ],
      },
    ],
  }
  it.each(Object.entries(some))('%s', async (_, [code, first, given]) => {
    const { sums } = await check(given)
    const found = sums.findings.find((finding) => finding.code === code)
    expect(found).toMatchObject({ severity: 'warns', ...(first >= 0 && { first: { row: first } }) })
    expect(() => refuseRuined(sums.findings)).not.toThrow()
  })
})

it('every finding is in docs/data.md, and is planted here', () => {
  const docs = readFileSync(new URL('../../../docs/data.md', import.meta.url), 'utf8')
  const tests = readFileSync(new URL(import.meta.url), 'utf8')
  expect(findingCodes.length).toBeGreaterThan(30)
  expect(findingCodes.filter((code) => !docs.includes(`\`${code}\``))).toEqual([])
  expect(findingCodes.filter((code) => !tests.includes(`'${code}'`))).toEqual([])
})

describe('the tokens of a row', () => {
  const said = (row: ShownRow, use: string) =>
    row.sequences.map(({ tokens }) =>
      tokens
        .filter((token) => token.use === use)
        .map(({ text }) => text)
        .join(''),
    )

  it('are the assistant’s where a template has no marks and only the assistant is learnt', async () => {
    const { rows } = await check({ model: chat, data: [talk('dog')], assistantOnlyLoss: true })
    expect(said(rows[0], 'trained')).toEqual([' The dog is at home.</s>'])
    expect(said(rows[0], 'context')[0]).toContain('Where is the dog?')
  })

  it('are cut at the beginning of the prompt and at the end of each response', async () => {
    const row = { prompt: 'The dog ran home', chosen: ' and ate all the food', rejected: ' and sat' }
    const { rows, sums } = await check({ for: 'dpo', data: [row], maxLength: 6, maxPromptLength: 2 })
    for (const { tokens } of rows[0].sequences) {
      expect(tokens[0].use).toBe('cut')
      expect(tokens.filter(({ use }) => use === 'context')).toHaveLength(2)
      expect(tokens.filter(({ use }) => use === 'trained').length).toBeLessThanOrEqual(4)
    }
    expect(sums.longest).toBe(6)
  })

  it('are all cut in a row that is dropped', async () => {
    const { rows } = await check({ for: 'dpo', data: [pairs[0]], maxLength: 2 })
    expect(rows[0].dropped).toBe('no-reply-left')
    expect(rows[0].sequences.every(({ tokens }) => tokens.every(({ use }) => use === 'cut'))).toBe(true)
  })
})
