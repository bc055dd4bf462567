/** What `attune data` says of a file, held against what opening it for training gives. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import { conversions, type Kinds } from './convert.ts'
import { openRows } from './openRows.node.ts'
import { surveyFile } from './survey.node.ts'

const folder = mkdtempSync(join(tmpdir(), 'attune-survey-'))
afterAll(() => rmSync(folder, { recursive: true }))
const write = (name: string, records: readonly object[]) => {
  const path = join(folder, name)
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  return path
}

const options = { maxLength: 1024 }
const rated = (prompt: string, helpfulness: number) => ({ prompt, response: `r${helpfulness}`, helpfulness })

const files = {
  pairs: write('pairs.jsonl', [
    { id: 1, prompt: 'q', chosen: 'a', rejected: 'b' },
    { id: 1, prompt: 'q', chosen: 'a', rejected: 'b', weight: 2 },
    { id: 1, prompt: 'q', chosen: 'a', rejected: 'b' },
  ]),
  rated: write('rated.jsonl', [rated('a', 1), rated('a', 3), rated('b', 2), rated('c', 2), rated('c', 2)]),
  thumbs: write('thumbs.jsonl', [
    { prompt: 'q', completion: 'a', label: true },
    { prompt: 'q', completion: 'b', label: false },
  ]),
  lists: write('lists.jsonl', [{ prompt: 'q', responses: ['a', 'b', 'c'], ranks: [1, 1, 2] }]),
  chats: write('chats.jsonl', [
    {
      messages: [
        { role: 'user', content: 'u' },
        { role: 'assistant', content: 'a' },
      ],
    },
    { messages: [{ role: 'user', content: 'u' }] },
  ]),
  holes: write('holes.jsonl', [
    { prompt: 'q', chosen: 'a', rejected: 'b' },
    { prompt: 'q', chosen: ' ', rejected: 'b' },
  ]),
  hh: fixture('data/hh-excerpt.jsonl.gz'),
}

it.each(Object.entries(files))('rows and drops of every use are those of opening it: %s', async (_, file) => {
  const { uses } = await surveyFile(file, options)
  for (const as of Object.keys(conversions) as (keyof Kinds)[]) {
    const use = uses[as]
    const opened = await openRows(file, { as }).catch((error) => ({ error }))
    if ('error' in opened) {
      expect(use.rows).toBe(0)
      if (opened.error.code === 'wrong-kind') expect(opened.error.message).toContain(`row 0: ${use.refused}`)
    } else {
      expect([as, use.rows, use.dropped]).toEqual([as, opened.length, opened.dropped])
      await opened.close()
    }
  }
})

it('repeated rows, repeated ids, columns and unread columns are counted', async () => {
  const found = await surveyFile(files.pairs, options)
  expect(found).toMatchObject({
    format: 'preference',
    records: 3,
    kinds: { ranking: 3 },
    columns: { id: 3, prompt: 3, chosen: 3, rejected: 3, weight: 1 },
    unread: { weight: 1 },
    duplicates: { records: 1, first: { row: 2, of: 0 } },
    repeatedIds: 2,
    unit: 'characters',
    lengths: { row: { median: 2, p95: 2, longest: 2 }, prompt: { longest: 1 }, response: { longest: 1 } },
  })
})

it('with a tokenizer lengths are the tokens of training, and rows beyond the limit are counted', async () => {
  const encoder = (await loadTokenizerFolder(fixture('models/stories260K')))!
  const file = write('texts.jsonl', [{ text: 'Once upon a time' }, { text: 'Once' }])
  const tokens = encoder.encode('Once upon a time', { specialTokens: true }).ids.length
  const found = await surveyFile(file, { encoder, maxLength: tokens - 1 })
  expect(found).toMatchObject({ unit: 'tokens', longer: 1 })
  // The end of the text is a token
  expect(found.lengths.row!.longest).toBe(encoder.addsEos ? tokens : tokens + 1)
  expect(found.lengths.prompt).toBeUndefined()
})

it('a malformed row is a fault with its place, and a file without rows too', async () => {
  const broken = write('broken.jsonl', [
    { prompt: 'q', chosen: 'a', rejected: 'b' },
    { prompt: 'q', chosen: 'a' },
  ])
  await expect(surveyFile(broken, options)).rejects.toThrow(
    /broken\.jsonl, line 2, row 1, column "rejected": is missing/,
  )
  await expect(surveyFile(write('none.jsonl', []), options)).rejects.toThrow('none.jsonl: holds no rows')
})

it('a list of more responses than a function may have arguments is read', async () => {
  const n = 400_000
  const list = { prompt: 'q', responses: Array(n).fill('a'), ranks: Array(n).fill(1) }
  const { uses } = await surveyFile(write('long.jsonl', [list]), options)
  expect([uses.sft.rows, uses.ranking.rows]).toEqual([1, 1])
  const opened = await openRows(join(folder, 'long.jsonl'), { as: 'sft' })
  expect(opened.length).toBe(1)
  await opened.close()
})
