/** Records in the shapes of UltraFeedback and of OpenAI's older files, as rows. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readMessages } from './messages.ts'
import { openRows } from './openRows.node.ts'
import { usualShape } from './shapes.ts'
import { templateOf } from './template.ts'

const folder = mkdtempSync(join(tmpdir(), 'attune-shapes-'))
afterAll(() => rmSync(folder, { recursive: true }))

const where = { file: 'x', line: 1, row: 0, layout: 'lines' } as never

describe('completions with scores (UltraFeedback)', () => {
  const completion = (response: string, overall_score: number | string | null) => ({
    ...{ model: 'm', principle: 'helpfulness', custom_system_prompt: '', critique: 'Good.', response, overall_score },
    annotations: { helpfulness: { Rating: '4', Rationale: 'yes', Type: ['1'] } },
    'fine-grained_score': 3,
  })
  const row = (completions: object[]) => ({
    ...{ source: 'evol_instruct', instruction: 'Why?', models: ['a', 'b'] },
    completions,
    correct_answers: ['None'],
    incorrect_answers: ['None'],
  })

  it('are a ranking by the overall score, with ties', () => {
    const { record } = usualShape(row([completion('a', 6), completion('b', '8.5'), completion('c', 6)]), where)
    expect(record).toMatchObject({
      prompt: [{ role: 'user', content: 'Why?' }],
      responses: ['a', 'b', 'c'],
      ranks: [2, 1, 2],
    })
    expect(Object.keys(record)).not.toContain('completions')
  })

  it('take the fine-grained score where there is no overall one, and leave one without a score unranked', () => {
    const { record } = usualShape(
      { prompt: 'Why?', completions: [completion('a', null), { content: 'b', rating: 5 }, { content: 'c' }] },
      where,
    )
    expect(record).toMatchObject({ responses: ['a', 'b', 'c'], ranks: [2, 1, null] })
  })

  it.each([
    ['none', []],
    ['one', [1]],
  ])('of which %s has a score give no row, and the rest of the file is read', async (_, scores) => {
    const few = { prompt: 'Why?', completions: ['a', 'b'].map((response, i) => ({ response, score: scores[i] })) }
    const data = join(folder, 'few.jsonl')
    const whole = row([completion('a', 1), completion('b', 2)])
    writeFileSync(data, [few, whole, few, whole].map((each) => `${JSON.stringify(each)}\n`).join(''))
    const rows = await openRows(data, { as: 'ranking' })
    expect(rows.dropped).toEqual({ 'too-few-scores': 2 })
    expect(rows.length).toBe(2)
    expect(await rows.row(1)).toMatchObject({ responses: ['a', 'b'], ranks: [2, 1] })
    expect(rows.where(1)).toMatchObject({ line: 4 })
    await rows.close()
  })

  it('of a file without any scores are said to have none', async () => {
    const data = join(folder, 'none.jsonl')
    writeFileSync(data, JSON.stringify({ prompt: 'Why?', completions: [{ response: 'a' }, { response: 'b' }] }))
    await expect(openRows(data)).rejects.toThrow('none of 1 records gave a row (too-few-scores: 1)')
  })
})

describe("functions of OpenAI's older files", () => {
  it('are the tools of the chat template', () => {
    expect(templateOf({ functions: [{ name: 'f', parameters: {} }] }, where)).toEqual({
      tools: [{ type: 'function', function: { name: 'f', parameters: {} } }],
    })
    expect(() => templateOf({ functions: 'f' }, where)).toThrow('functions')
  })

  it('are called by tool calls', () => {
    const call = { name: 'f', arguments: '{"x": 1}' }
    expect(readMessages([{ role: 'assistant', content: null, function_call: call }])).toEqual([
      { role: 'assistant', content: null, tool_calls: [{ type: 'function', function: call }] },
    ])
  })
})
