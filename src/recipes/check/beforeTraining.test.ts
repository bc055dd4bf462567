/** What a training command says of its rows before the first step: what it refuses, and what it only warns of. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { fixture } from '../../../test/support/golden.ts'
import { loadRecipe } from '../load.ts'
import type { MethodKey } from '../methods.ts'
import type { Recipe, TrainEvent } from '../trainer/recipe.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-before-'))
afterAll(() => rmSync(root, { recursive: true }))

let made = 0
/** The events of a run of one step. */
const train = async (method: MethodKey, rows: readonly object[], more: object = {}) => {
  const data = join(root, `rows${made}.jsonl`)
  const output = join(root, `run${made++}`)
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const recipe = (await loadRecipe(method)) as unknown as Recipe
  const model = fixture('models/stories260K')
  const config = recipe.schema.parse({ model, data: [data], output, maxSteps: 1, batchSize: 2, loraR: 2, ...more })
  const events: TrainEvent[] = []
  for await (const event of recipe.run(config)) events.push(event)
  return { events, output, codes: events.flatMap((event) => (event.event === 'warning' ? [event.code] : [])) }
}
const animals = ['dog', 'cat', 'bird', 'fish']
const pairs = animals.map((it) => ({ prompt: `The ${it}`, chosen: ` saw a ${it} run.`, rejected: ` ${it} ran.` }))
const thumbs = animals.map((it, i) => ({ prompt: `The ${it}`, completion: ` is ${it}.`, label: i % 2 === 0 }))
const completions = animals.map((it) => ({ prompt: `The ${it}`, completion: ` saw a big ${it} in the park.` }))

describe('rows of which nothing can be learnt end a run with exit code 2, and leave no folder', () => {
  const useless: [code: string, method: MethodKey, rows: readonly object[], more?: object][] = [
    ['equal-replies', 'dpo', pairs.map((row, i) => (i ? { ...row, rejected: row.chosen } : row))],
    ['equal-replies', 'reward', pairs.map((row) => ({ ...row, rejected: row.chosen }))],
    ['all-good', 'kto', thumbs.map((row) => ({ ...row, label: true }))],
    ['all-bad', 'kto', thumbs.map((row) => ({ ...row, label: false }))],
    ['cut-stop', 'sft', completions, { maxLength: 10 }],
  ]
  it.each(useless)('%s (%s)', async (code, method, rows, more) => {
    const before = readdirSync(root).length
    await expect(train(method, rows, more)).rejects.toMatchObject({ code, exitCode: 2 })
    // Only the rows were written
    expect(readdirSync(root)).toHaveLength(before + 1)
  })
})

it('the start tells how many rows are no conversations', async () => {
  const model = join(root, 'chat-model')
  cpSync(fixture('models/stories260K'), model, { recursive: true })
  writeFileSync(join(model, 'chat_template.jinja'), '{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}')
  const asked = animals.map((it) => [{ role: 'user', content: `The ${it}` }])
  const talks = pairs.map((row, i) => (i ? { ...row, prompt: asked[i] } : row))
  const plainRows = async (more: object) => {
    const { events, output } = await train('dpo', talks, { model, ...more })
    const { plain_rows } = JSON.parse(readFileSync(join(output, 'run.json'), 'utf8'))
    expect(events.find(({ event }) => event === 'start')).toMatchObject({ rows: 4, plain_rows })
    return plain_rows
  }
  expect(await plainRows({})).toBe(1)
  expect(await plainRows({ chat: true })).toBe(0)
})

describe('the rest warns, and the run goes on', () => {
  it.each<[string, MethodKey, readonly object[], object?]>([
    ['bos-twice', 'sft', completions.map((row) => ({ ...row, prompt: `<s>${row.prompt}` }))],
    ['cut-stop', 'dpo', pairs, { maxLength: 8 }],
    ['ratings-against-order', 'dpo', pairs.map((row) => ({ ...row, score_chosen: 1, score_rejected: 9 }))],
    ['one-completion', 'sft', completions.map((row) => ({ ...row, completion: ' ran.' }))],
    ['empty-completion', 'dpo', pairs.map((row) => ({ ...row, rejected: ' ' }))],
  ])('%s (%s)', async (code, method, rows, more) => {
    const { codes, events } = await train(method, rows, more)
    expect(codes).toContain(code)
    expect(events.at(-1)).toMatchObject({ event: 'end', steps: 1 })
  })

  it('says nothing of clean rows', async () => {
    expect((await train('dpo', pairs)).codes).not.toContain('cut-stop')
    expect((await train('sft', completions)).codes.filter((code) => code !== 'learning-rate')).toEqual([])
  })

  it('finds held-out rows that are all trained on, in a file that is not looked at as a whole', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => ({ text: `The ${animals[i % 4]} number ${i} ran.` }))
    const held = join(root, 'held.jsonl')
    writeFileSync(held, [many[7], many[1234]].map((row) => `${JSON.stringify(row)}\n`).join(''))
    const { codes } = await train('sft', many, { evalData: [held] })
    expect(codes).toContain('eval-in-train')
  })
})
