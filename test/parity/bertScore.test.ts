/** BERTScore against the package bert-score, with the tiny encoders (bench/bertScoreGolden.py). */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BertScore } from '../../src/feedback/metrics/bertScore.ts'
import { comparedRows } from '../../src/feedback/metrics/comparedRows.ts'
import { bertScores, referenceIdf, textIds } from '../../src/feedback/metrics/encodedTexts.ts'
import { type OpenedEncoder, openEncoder } from '../../src/passes/openEncoder.node.ts'
import { fixture, fixtureJson } from '../support/golden.ts'

type Case = { encoder: string; layer: number; idf: boolean; scores: [number, number, number][] }

const { rows, expected } = (await fixtureJson('feedback/bertscore/expected.json')) as {
  rows: object[]
  expected: Case[]
}
const folder = mkdtempSync(join(tmpdir(), 'attune-bertscore-'))
afterAll(() => rmSync(folder, { recursive: true }))
const data = join(folder, 'rows.jsonl')
writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
const read = () => comparedRows([data], { ids: true })

describe.each(['bert', 'roberta'])('%s', (name) => {
  let encoder: OpenedEncoder
  beforeAll(async () => {
    const model = join(folder, name)
    for (const part of [`models/${name}`, `feedback/bertscore/${name}`])
      cpSync(fixture(part), model, { recursive: true })
    encoder = await openEncoder({ model, device: 'cpu', threads: 1 })
  })
  afterAll(() => encoder.close())

  it.each(expected.filter((row) => row.encoder === name))(
    'after block $layer, idf $idf',
    async ({ layer, idf, scores }) => {
      const texts = textIds(encoder)
      const weight = idf ? await referenceIdf(read(), texts) : undefined
      const found: BertScore[] = []
      for await (const score of bertScores(read(), encoder, texts, { layer, weight })) found.push(score)
      expect(found.map(({ precision, recall, f }) => [precision, recall, f])).toEqual(
        scores.map((row) => row.map((value) => expect.closeTo(value, 5))),
      )
      // Letter by letter, the longest row is longer than the encoder takes; bert-score cuts it too
      expect(texts.cut()).toBe(name === 'roberta' ? 1 : 0)
    },
  )

  it('cuts a text that is too long, and takes token ids', async () => {
    const texts = textIds(encoder)
    const long = texts.of('word '.repeat(100))
    expect([texts.cut(), long.length, long.at(-1)]).toEqual([1, 64, texts.of('word').at(-1)])
    const ids = texts.of('A cat')
    const file = join(folder, 'ids.jsonl')
    writeFileSync(file, JSON.stringify({ completion: { input_ids: ids }, reference: 'A cat' }))
    for await (const { f } of bertScores(comparedRows([file], { ids: true }), encoder, texts, { layer: 2 }))
      expect(f).toBeCloseTo(1, 6)
  })
})
