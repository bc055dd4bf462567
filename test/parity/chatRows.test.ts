/**
 * Token ids of rows, compared with transformers' apply_chat_template and TRL's split into prompt and completion.
 * rows.json was made with transformers 5.24, the code of TRL's trainers and TRL's extract_prompt.
 */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Encoder, encodePrompt, rankedExample, textExample, unpairedExample } from '../../src/data/examples.ts'
import { openRows } from '../../src/data/openRows.node.ts'
import type { Ranking } from '../../src/data/rows.ts'
import { loadTokenizerFolder } from '../../src/text/tokenizer.node.ts'

type Split = { row: object; prompt: number[]; replies: number[][] }
type Golden = {
  template: string
  preference: Split[]
  text: Split[]
  unpaired: Split[]
  messages: { row: object; ids: number[] }[]
}

const fixtures = new URL('../fixtures/', import.meta.url).pathname
const limits = { maxLength: 10_000 }
let folder = ''
let golden: Golden
let encoder: Encoder

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-rows-test-'))
  golden = JSON.parse(await readFile(join(fixtures, 'text/rows.json'), 'utf8'))
  const model = join(fixtures, 'models/stories260K')
  const config = JSON.parse(await readFile(join(model, 'tokenizer_config.json'), 'utf8'))
  await copyFile(join(model, 'tokenizer.json'), join(folder, 'tokenizer.json'))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template: golden.template }))
  encoder = (await loadTokenizerFolder(folder))!
})
afterAll(() => rm(folder, { recursive: true }))

const opened = async <K extends 'ranking' | 'unpaired' | 'sft' | 'completion' | 'prompt'>(as: K, rows: object[]) => {
  const file = join(folder, 'rows.jsonl')
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const source = await openRows(file, { as })
  const all = await Promise.all(Array.from({ length: source.length }, (_, i) => source.row(i)))
  await source.close()
  expect(all.length).toBe(rows.length)
  return all
}

describe('token ids equal those of transformers and TRL', () => {
  it.each(['preference', 'text'] as const)('for pairs: %s', async (name) => {
    const rows = await opened(
      'ranking',
      golden[name].map(({ row }) => row),
    )
    for (const [i, { prompt, replies }] of golden[name].entries())
      expect(
        rankedExample(encoder, rows[i], limits, () => {}),
        `row ${i}`,
      ).toMatchObject({ prompt, responses: replies })
  })

  it('for unpaired completions, with labels 1 and 0', async () => {
    const rows = await opened(
      'unpaired',
      golden.unpaired.map(({ row }) => row),
    )
    for (const [i, { prompt, replies }] of golden.unpaired.entries())
      expect(unpairedExample(encoder, rows[i], limits, () => {})).toMatchObject({
        prompt,
        completion: replies[0],
        label: i === 0,
      })
  })

  it('for rows of conversations', async () => {
    const rows = await opened(
      'sft',
      golden.messages.map(({ row }) => row),
    )
    const options = { assistantOnly: false, completionOnly: true }
    for (const [i, { ids }] of golden.messages.entries())
      expect(textExample(encoder, rows[i], limits, options, () => {})).toMatchObject({ ids })
  })

  it('for one conversation as ranking, sft, completion and prompt row', async () => {
    const pairs = golden.preference.filter(({ row }) => (row as { prompt: unknown }).prompt)
    const cast = pairs.map(({ row }) => row as Record<string, unknown>)
    const ranked = await opened(
      'ranking',
      cast.map(({ chosen, rejected, ...row }) => ({ ...row, responses: [chosen, rejected], ranks: [1, 2] })),
    )
    const forSft = await opened(
      'sft',
      cast.map(({ chosen, rejected, ...row }) => ({ ...row, completion: chosen })),
    )
    const whole = cast.map(({ chosen, rejected, prompt, ...row }) => ({
      ...row,
      messages: [...(prompt as object[]), (chosen as object[])[0]],
    }))
    const [completions, prompts] = [await opened('completion', whole), await opened('prompt', whole)]
    const options = { assistantOnly: false, completionOnly: true }
    for (const [i, { prompt, replies }] of pairs.entries()) {
      expect(rankedExample(encoder, ranked[i], limits, () => {})).toMatchObject({ prompt, responses: replies })
      expect(textExample(encoder, forSft[i], limits, options, () => {})).toMatchObject({
        ids: [...prompt, ...replies[0]],
      })
      expect(encodePrompt(encoder, prompts[i].prompt, prompts[i].template)).toEqual(prompt)
      // Only the last message of a conversation is the completion
      if ((cast[i].chosen as object[]).length > 1) continue
      const { completion, ...row } = completions[i]
      const one: Ranking = { ...row, kind: 'ranking', responses: [completion], ranks: [1] }
      expect(rankedExample(encoder, one, limits, () => {})).toMatchObject({ prompt, responses: [replies[0]] })
    }
  })
})
