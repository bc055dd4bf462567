/**
 * Agreement against scikit-learn, krippendorff, scipy and irrCAC, and against published figures of real votes: PandaLM
 * (Apache-2.0), LLMBar (MIT) and MT-bench (CC BY 4.0, read from ../shared where it is).
 */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { agreement } from '../../src/feedback/agreement/agreement.ts'
import { labelInput } from '../../src/feedback/agreement/inputs.ts'
import { readVotes } from '../../src/feedback/agreement/readVotes.ts'
import { cellsOf, cohenKappa, kendallTauB, krippendorffAlpha, scottPi } from '../../src/statistics/agreement.ts'

const text = (name: string) => {
  const bytes = readFileSync(new URL(`../fixtures/feedback/${name}`, import.meta.url))
  return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
}
const path = (name: string) => new URL(`../fixtures/feedback/${name}`, import.meta.url).pathname
const golden = JSON.parse(text('agreement.json.gz'))

const near = (value: number | null, digits = 6) => (value === null ? Number.NaN : expect.closeTo(value, digits))

describe("Cohen's kappa of scikit-learn 1.9", () => {
  type Case = {
    a: (string | number)[]
    b: (string | number)[]
    kappa: number | null
    linear?: number
    quadratic?: number
  }
  it.each(golden.cohen_kappa as Case[])('$kappa', ({ a, b, kappa, linear, quadratic }) => {
    const names = [...new Set([...a, ...b])].sort()
    const cells = cellsOf(
      a.map((label) => names.indexOf(label)),
      b.map((label) => names.indexOf(label)),
    )
    expect(cohenKappa(cells, names.length)).toEqual(near(kappa))
    if (linear === undefined || quadratic === undefined) return
    expect(cohenKappa(cells, names.length, 'linear')).toEqual(near(linear))
    expect(cohenKappa(cells, names.length, 'quadratic')).toEqual(near(quadratic))
  })
})

describe("Krippendorff's alpha of krippendorff 0.9", () => {
  type Case = { ratings: (number | null)[][]; nominal: number; ordinal: number }
  it.each(golden.krippendorff_alpha as Case[])('$nominal and $ordinal', ({ ratings, nominal, ordinal }) => {
    const votes = ratings.flatMap((row, rater) =>
      row.flatMap((label, unit) =>
        label === null ? [] : [{ item: `${unit}`, annotator: `${rater}`, label: `${label}` }],
      ),
    )
    const { figures } = agreement(labelInput(votes, 'votes'), { resamples: 1 })
    expect([figures.alpha_nominal, figures.alpha_ordinal]).toEqual([near(nominal), near(ordinal)])
  })
})

describe("Kendall's tau-b of scipy 1.17", () => {
  it.each(golden.kendall_tau_b as { a: number[]; b: number[]; tau_b: number | null }[])('$tau_b', ({ a, b, tau_b }) => {
    expect(kendallTauB(cellsOf(a, b), Math.max(...b) + 1)).toEqual(near(tau_b))
    expect(kendallTauB(cellsOf(b, a), Math.max(...a) + 1)).toEqual(near(tau_b))
  })
})

it('coefficients of irrCAC, from one table', () => {
  const [{ categories, table, published }] = JSON.parse(text('irr.json')).tables
  let item = 0
  const votes = (table as number[][]).flatMap((row, i) =>
    row.flatMap((count, j) =>
      Array.from({ length: count }, () => item++).flatMap((n) => [
        { item: `${n}`, annotator: 'one', label: categories[i] },
        { item: `${n}`, annotator: 'two', label: categories[j] },
      ]),
    ),
  )
  const { figures } = agreement(labelInput(votes, 'votes'), { resamples: 1 })
  expect({
    cohen_kappa: figures.kappa,
    scott_pi: figures.scott_pi,
    gwet_ac1: figures.ac1,
    brennan_prediger: figures.brennan_prediger,
    krippendorff_alpha: figures.alpha_nominal,
    percent_agreement: figures.agreement,
  }).toEqual(Object.fromEntries(Object.entries(published).map(([name, value]) => [name, near(value as number, 7)])))
  expect(figures.fleiss).toBeCloseTo(figures.scott_pi, 12)
  expect(figures.weighted_kappa).toBeNaN()
})

it("PandaLM: 999 comparisons by two annotators, the README's 0.85", async () => {
  const { figures, intervals, n } = agreement(await readVotes([path('pandalm.jsonl.gz')]), { resamples: 200 })
  expect([n, figures.kappa, figures.agreement]).toEqual([
    999,
    near(0.8520226785167024, 12),
    near(0.9129129129129129, 12),
  ])
  expect(intervals.kappa.low).toBeGreaterThan(0.81)
  expect(intervals.kappa.high).toBeLessThan(0.89)
})

it("LLMBar: 65 judges' kappa between both orders of the answers", () => {
  const rows = text('llmbar.jsonl.gz')
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(rows).toHaveLength(65)
  for (const { original, swapped, published } of rows) {
    const classes = (verdicts: string) => Array.from(verdicts, (verdict) => (verdict === '1' ? 0 : 1))
    expect(cohenKappa(cellsOf(classes(original), classes(swapped)), 2)).toEqual(near(published.kappa_agreement, 12))
  }
})

const mtBench = new URL('../../../shared/golden/judge/mtbench/', import.meta.url).pathname
describe.skipIf(!existsSync(mtBench))('MT-bench, first turn', () => {
  type Vote = { question_id: number; turn: number; model_a: string; model_b: string; judge: string; winner: string }
  const read = (name: string): Vote[] =>
    readFileSync(`${mtBench}${name}`, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ turn }) => turn === 1)
  const unitOf = ({ question_id, model_a, model_b, winner }: Vote) => {
    const turned = model_a > model_b
    const sides: Record<string, string> = { model_a: turned ? 'second' : 'first', model_b: turned ? 'first' : 'second' }
    return { item: JSON.stringify([question_id, [model_a, model_b].sort()]), label: sides[winner] ?? 'tie' }
  }

  it('people among themselves: table 5 of the paper', () => {
    // One annotator voted twice on a pair; the paper counts both votes
    const votes = read('human.jsonl')
      .filter(({ judge }) => judge.startsWith('expert'))
      .map((vote, i) => ({ ...unitOf(vote), annotator: `${vote.judge} ${i}` }))
    const { figures, n, nNoTies } = agreement(labelInput(votes, 'votes'), { resamples: 1 })
    expect([n, nNoTies]).toEqual([721, 479])
    expect(figures.agreement).toBeCloseTo(454 / 721, 12)
    expect(figures.agreement_no_ties).toBeCloseTo(388 / 479, 12)
  })

  it('the most frequent human vote and GPT-4: agreement and kappa of 910 pairs', () => {
    const counts = new Map<string, Map<string, number>>()
    for (const { item, label } of read('human.jsonl').map(unitOf)) {
      const ofItem = counts.get(item) ?? counts.set(item, new Map()).get(item)!
      ofItem.set(label, (ofItem.get(label) ?? 0) + 1)
    }
    const verdicts = Array.from(counts, ([item, ofItem]) => {
      const most = Math.max(...ofItem.values())
      const leaders = [...ofItem].filter(([, n]) => n === most)
      return { item, annotator: 'people', label: leaders.length === 1 ? leaders[0][0] : 'tie' }
    })
    const judged = read('gpt4_pair.jsonl').map((vote) => ({ ...unitOf(vote), annotator: 'gpt-4' }))
    const { figures, n } = agreement(labelInput([...verdicts, ...judged], 'votes'), { resamples: 1 })
    expect([n, figures.agreement, figures.kappa]).toEqual([910, near(0.678, 3), near(0.516, 3)])
  })
})

it("Scott's pi is at most Cohen's kappa", () => {
  const cells = cellsOf([0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 2, 2])
  expect(scottPi(cells, 3)).toBeLessThan(cohenKappa(cells, 3))
  expect(krippendorffAlpha({ x: [], y: [], count: [] }, 3, 'nominal')).toBeNaN()
})
