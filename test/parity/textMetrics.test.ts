/** Scores of texts against those of rouge-score and NLTK. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { stem } from '../../src/feedback/metrics/porterStemmer.ts'
import { rouge } from '../../src/feedback/metrics/rouge.ts'

type RougeCase = { prediction: string; target: string } & Record<'plain' | 'stemmed', Record<string, number[]>>

const golden = JSON.parse(
  gunzipSync(readFileSync(new URL('../fixtures/feedback/textMetrics.json.gz', import.meta.url))).toString(),
) as { rouge: { stems: [string, string][]; cases: RougeCase[] } }

const near = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 7))

describe('ROUGE of rouge-score 0.1.2', () => {
  it.each(['plain', 'stemmed'] as const)('holds, %s', (form) => {
    expect(golden.rouge.cases.length).toBeGreaterThan(20)
    for (const row of golden.rouge.cases)
      for (const [name, { precision, recall, f }] of Object.entries(
        rouge(row.prediction, [row.target], form === 'stemmed'),
      ))
        expect([precision, recall, f], `${name} of ${row.prediction}`).toEqual(near(row[form][name]))
  })

  it('and the stems of NLTK', () => {
    for (const [word, expected] of golden.rouge.stems) expect(stem(word), word).toBe(expected)
  })
})
