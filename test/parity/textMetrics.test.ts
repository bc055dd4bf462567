/** Scores of texts against those of sacreBLEU, rouge-score and NLTK. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type Bleu, bleuCounts, bleuTokens, corpusBleu, sentenceBleu } from '../../src/feedback/metrics/bleu.ts'
import { stem } from '../../src/feedback/metrics/porterStemmer.ts'
import { rouge } from '../../src/feedback/metrics/rouge.ts'

type RougeCase = { prediction: string; target: string } & Record<'plain' | 'stemmed', Record<string, number[]>>

const golden = JSON.parse(
  gunzipSync(readFileSync(new URL('../fixtures/feedback/textMetrics.json.gz', import.meta.url))).toString(),
) as {
  bleu: {
    tokenized_13a: { text: string; tokens: string[] }[]
    sentence: ({ hypothesis: string; references: string[] } & Bleu)[]
    corpus: ({ hypotheses: string[]; reference_streams: string[][]; lowercase: boolean } & Bleu)[]
  }
  rouge: { stems: [string, string][]; cases: RougeCase[] }
}

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

const rounded = ({ score, precisions, bp, sys_len, ref_len, counts, totals }: Bleu) => ({
  score: expect.closeTo(score, 7),
  precisions: near(precisions),
  bp: expect.closeTo(bp, 7),
  sys_len,
  ref_len,
  counts,
  totals,
})

describe('BLEU of sacrebleu 2.6', () => {
  it.each(golden.bleu.tokenized_13a)('has the tokens of $text', ({ text, tokens }) => {
    expect(bleuTokens(text)).toEqual(tokens)
  })

  it('holds for sentences', () => {
    for (const row of golden.bleu.sentence)
      expect(sentenceBleu(row.hypothesis, row.references), row.hypothesis).toEqual(rounded(row))
  })

  it('holds for corpora with one and several references', () => {
    for (const row of golden.bleu.corpus) {
      const segments = row.hypotheses.map((hypothesis, i) =>
        bleuCounts(
          hypothesis,
          row.reference_streams.map((stream) => stream[i]),
          row.lowercase,
        ),
      )
      expect(corpusBleu(segments)).toEqual(rounded(row))
    }
  })

  // sacrebleu.sentence_bleu(..., smooth_method=..., smooth_value=..., use_effective_order=True), version 2.6
  it.each([
    ['exp', undefined, 24.274588585366175],
    ['floor', undefined, 12.909944487358057],
    ['floor', 0.5, 28.86751345948128],
    ['add-k', undefined, 37.99178428257963],
    ['add-k', 2, 50.197242487957915],
    ['none', undefined, 0.0],
  ] as const)('with smoothing %s %s', (smooth, smoothValue, expected) => {
    const references = ['the cat is on the mat', 'there is a cat on the mat']
    expect(sentenceBleu('the cat the cat on mat', references, { smooth, smoothValue }).score).toBeCloseTo(expected, 7)
  })
})
