/** Held-out rows: as many as asked for, none of a prompt that is trained on, and all columns as they were. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sideLines, splitFiles } from './split.node.ts'

let dir: string
const at = (name: string) => join(dir, name)
const write = async (name: string, rows: readonly unknown[]) => {
  await writeFile(at(name), rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''))
  return [at(name)]
}
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'attune-split-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const sides = async (files: string[], fraction: number, seed = 42) => {
  const split = await splitFiles(files, { fraction, seed })
  const read = async (side: boolean) => {
    const lines: string[] = []
    for await (const line of sideLines(files, split, side)) lines.push(line.toString())
    return lines
  }
  return { split, train: await read(false), held: await read(true) }
}

describe('a split', () => {
  it('keeps the turns of a conversation together, after a greeting too', async () => {
    const greeting = { role: 'assistant', content: 'Hi, how can I help?' }
    const asked = (i: number) => [greeting, { role: 'user', content: `question ${i}` }]
    const later = (i: number) => [
      ...asked(i),
      { role: 'assistant', content: 'Why?' },
      { role: 'user', content: `It is ${i}.` },
    ]
    const rows = Array.from({ length: 20 }, (_, i) => [asked(i), later(i)]).flat()
    const answer = { role: 'assistant', content: 'Yes.' }
    for (const files of [
      await write(
        'turns.jsonl',
        rows.map((prompt) => ({ prompt, completion: [answer] })),
      ),
      await write(
        'greeted.jsonl',
        rows.map((messages) => ({ messages: [...messages, answer] })),
      ),
    ]) {
      const { split, train, held } = await sides(files, 0.25)
      const questions = (lines: string[]) => new Set(lines.map((line) => /question \d+/.exec(line)![0]))
      expect([split.prompts, held.length, questions(held).size]).toEqual([20, 10, 5])
      expect([...questions(train)].filter((each) => questions(held).has(each))).toEqual([])
    }
  })

  it('holds out that share of the rows, drawn by the seed, and keeps their order', async () => {
    const files = await write(
      'prompts.jsonl',
      Array.from({ length: 50 }, (_, i) => ({ prompt: `question ${i}`, answer: i })),
    )
    const { split, train, held } = await sides(files, 0.2)
    expect([split.prompts, train.length, held.length]).toEqual([50, 40, 10])
    expect(new Set([...train, ...held]).size).toBe(50)
    const numbers = held.map((line) => JSON.parse(line).answer as number)
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(numbers).not.toEqual(Array.from({ length: 10 }, (_, i) => numbers[0] + i))
    expect((await sides(files, 0.2)).held).toEqual(held)
    expect((await sides(files, 0.2, 43)).held).not.toEqual(held)
  })

  it('keeps rows of a prompt on one side, in whatever form they ask', async () => {
    const rows = Array.from({ length: 12 }, (_, i) => [
      { prompt: `q${i}`, chosen: ' a', rejected: ' b' },
      {
        prompt: [{ role: 'user', content: `q${i}` }],
        chosen: [{ role: 'assistant', content: 'c' }],
        rejected: [{ role: 'assistant', content: 'd' }],
      },
    ]).flat()
    const { split, held } = await sides(await write('pairs.jsonl', rows), 0.25)
    expect([split.prompts, split.heldOutPrompts, held.length]).toEqual([12, 3, 6])
    const chats = await write(
      'chats.jsonl',
      ['a', 'b', 'b', 'c'].map((content, i) => ({
        messages: [
          { role: 'user', content },
          { role: 'assistant', content: `answer ${i}` },
        ],
      })),
    )
    expect((await sides(chats, 0.3)).split.prompts).toBe(3)
  })

  it('writes every column and number as it was', async () => {
    const rows = [1, 2, 3].map((i) => `{"text":"t${i}","note":{"size":1.0,"id":1234567890123456789${i}}}`)
    const { train, held } = await sides(await write('texts.jsonl', rows), 0.4)
    expect(held).toHaveLength(1)
    expect([...train, ...held].sort()).toEqual(rows.map((row) => `${row}\n`))
  })

  it('leaves a row on either side, and refuses a single prompt', async () => {
    const two = await write('two.jsonl', [{ text: 'one' }, { text: 'two' }])
    for (const fraction of [0.01, 0.99]) {
      const { train, held } = await sides(two, fraction)
      expect([train.length, held.length]).toEqual([1, 1])
    }
    await expect(sides(await write('same.jsonl', [{ text: 'one' }, { text: 'one' }]), 0.5)).rejects.toMatchObject({
      code: 'empty-data',
      exitCode: 2,
    })
  })

  it('reads a csv, and refuses rows that are made of several records', async () => {
    await writeFile(at('t.csv'), 'question,answer,tag\none,1,x\ntwo,2,y\nthree,3,z\n')
    const split = await splitFiles([at('t.csv')], {
      columns: { prompt: 'question', completion: 'answer' },
      fraction: 0.34,
      seed: 1,
    })
    const lines: string[] = []
    for await (const line of sideLines([at('t.csv')], split, true)) lines.push(line.toString())
    expect(lines).toHaveLength(1)
    expect(Object.keys(JSON.parse(lines[0]))).toEqual(['question', 'answer', 'tag'])
    const tree = [
      { message_id: '1', parent_id: null, role: 'prompter', text: 'hi' },
      { message_id: '2', parent_id: '1', role: 'assistant', text: 'ho' },
    ]
    await expect(sides(await write('tree.jsonl', tree), 0.5)).rejects.toMatchObject({ code: 'bad-file' })
  })
})
