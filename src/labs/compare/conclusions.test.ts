/** The sentence for every kind of result, and the page made from findings. */
import { describe, expect, it } from 'vitest'
import type { Interval } from '../../statistics/intervals.ts'
import { makeDraws } from '../../statistics/resampling.ts'
import { rng } from '../../util/rng.ts'
import { conclusionsOf, pairConclusion, preferenceOf } from './conclusions.ts'
import {
  type ComparisonData,
  findingsOf,
  type JudgeInfo,
  type PairFindings,
  type ScoredCompletions,
} from './findings.ts'
import { comparisonPage } from './report.ts'

const span = (value: number, half: number): Interval => ({ value, low: value - half, high: value + half })

const judges: JudgeInfo[] = [
  { name: 'neutral', trained: [] },
  { name: 'scalar', trained: ['level1'] },
  { name: 'probabilistic', trained: ['level2'] },
]

/** 60 % is found, 50 % is not. */
const pair = (judge: string, rate: number, more: Partial<PairFindings> = {}): PairFindings => ({
  a: 'level1',
  b: 'level2',
  judge,
  prompts: 100,
  outcome: { wins: rate, ties: 0, losses: 1 - rate },
  winRate: span(rate, 0.08),
  p: 1,
  corrected: Math.abs(rate - 0.5) > 0.08 ? 0.001 : 0.7,
  longer: span(0, 5),
  detectable: 0.61,
  ...more,
})
const concluded = (...pairs: PairFindings[]) => pairConclusion(pairs, judges)

describe('a pair of policies', () => {
  it('is decided by the corrected p, and equal where the interval is narrow', () => {
    expect([pair('neutral', 0.6), pair('neutral', 0.4), pair('neutral', 0.55)].map(preferenceOf)).toEqual([
      'a',
      'b',
      'undecided',
    ])
    expect(preferenceOf(pair('neutral', 0.5, { winRate: span(0.5, 0.04) }))).toBe('equal')
    expect(preferenceOf(pair('neutral', 0.6, { corrected: 0.06 }))).toBe('undecided')
  })

  it('is preferred by every judge', () => {
    expect(concluded(pair('neutral', 0.6), pair('scalar', 0.7), pair('probabilistic', 0.62))).toBe(
      'The answers of level1 are preferred to those of level2 by every judge: neutral 60 % (52 to 68), scalar 70 % (62 to 78) and probabilistic 62 % (54 to 70).',
    )
  })

  it('is preferred by the judge that neither was trained on, whatever the others say', () => {
    expect(concluded(pair('neutral', 0.4), pair('scalar', 0.7), pair('probabilistic', 0.5))).toBe(
      'The answers of level2 are preferred to those of level1 by neutral 60 % (52 to 68), which neither was trained on; scalar 30 % (22 to 38) prefers level1, probabilistic 50 % (42 to 58) does not tell them apart.',
    )
  })

  it('is preferred by its own reward model alone, which shows nothing', () => {
    const text = concluded(pair('neutral', 0.52), pair('scalar', 0.7), pair('probabilistic', 0.5))
    expect(text).toContain('preferred to those of level2 by scalar 70 % (62 to 78) alone, which level1 was trained on')
    expect(text).toContain('neutral 52 % (44 to 60), which neither was trained on, does not tell them apart')
    expect(text).toContain('this does not show better answers')
    expect(concluded(pair('scalar', 0.7))).toContain('there is no judge that neither was trained on (--judge)')
  })

  it('divides the judges', () => {
    const text = concluded(pair('neutral', 0.5), pair('scalar', 0.7), pair('probabilistic', 0.3))
    expect(text).toContain(
      'contradict each other on level1 and level2: scalar 70 % (62 to 78) for level1, probabilistic 70 % (62 to 78) for level2',
    )
    expect(text).toContain('neutral 50 % (42 to 58) for level1, which neither was trained on, does not tell them apart')
    expect(concluded(pair('scalar', 0.7), pair('probabilistic', 0.3))).toContain('there is none')
  })

  it('cannot be told apart, which is not being equal', () => {
    const text = concluded(pair('neutral', 0.54), pair('scalar', 0.5))
    expect(text).toBe(
      'level1 and level2 cannot be told apart: answers of level1 are preferred by neutral 54 % (46 to 62). With 100 prompts a single test misses a win rate below 61 % more than one time in five, so this is no evidence that they are equal: it takes more prompts.',
    )
    const nearly = pair('neutral', 0.58, { winRate: span(0.58, 0.07), corrected: 0.09 })
    expect(concluded(nearly)).toContain('An interval that excludes 50 % is not enough where so many tests are made')
    expect(concluded(pair('neutral', 0.5, { winRate: span(0.5, 0.03) }))).toBe(
      'level1 and level2 are equal to within 5 points of win rate: answers of level1 are preferred by neutral 50 % (47 to 53).',
    )
  })

  it('may be preferred for its length alone', () => {
    const controlled = (rate: number, half: number, beyond = false) => ({
      controlled: { winRate: span(rate, half), slope: 0.1, beyond },
    })
    const longer = { longer: span(40, 10) }
    expect(concluded(pair('neutral', 0.6, { ...longer, ...controlled(0.51, 0.1) }))).toContain(
      'Answers of level1 are 40 characters longer; at equal length neutral prefers level1 in 51 % (41 to 61), so length may be all that is preferred.',
    )
    expect(concluded(pair('neutral', 0.4, { ...longer, ...controlled(0.48, 0.1) }))).toContain(
      'Answers of level2 are 40 characters shorter; at equal length neutral prefers level2 in 52 % (42 to 62)',
    )
    expect(concluded(pair('neutral', 0.6, { ...longer, ...controlled(0.6, 0.05) }))).toContain(
      'By linear regression, length does not explain it: at equal length neutral prefers level1 in 60 % (55 to 65).',
    )
    expect(concluded(pair('neutral', 0.6, { ...longer, ...controlled(0.6, 0.05, true) }))).toContain(
      'that on every prompt: length and preference cannot be told apart',
    )
    expect(concluded(pair('neutral', 0.6, controlled(0.55, 0.06)))).toContain('which does not exclude 50 %')
  })

  it('may be preferred for its higher KL alone', () => {
    const equalKl = (difference: Interval, farther = 'level1', between = 2) => ({
      equalKl: { difference, between, farther, kl: [span(12, 1), span(4, 1)] as const },
    })
    expect(concluded(pair('neutral', 0.6, equalKl(span(0.1, 0.2))))).toContain(
      'level1 has moved farther from the SFT policy, 12 nats against 4.00; at equal KL (interpolated between 2 checkpoints and the final model) it is not ahead beyond doubt, in standard deviations of reward by neutral: 0.10 (-0.10 to 0.30), so the higher KL may be all of it.',
    )
    expect(concluded(pair('neutral', 0.6, equalKl(span(0.5, 0.2), 'level1', 0)))).toMatch(
      /kept no checkpoint.* still ahead/,
    )
    expect(concluded(pair('neutral', 0.6, equalKl(span(-0.5, 0.2))))).toMatch(
      /it is behind, .*, so the higher KL may be all of it/,
    )
    expect(concluded(pair('neutral', 0.6, equalKl(span(0, 1), 'level2')))).toContain(
      'It has also moved less far: 4.00 nats',
    )
  })

  it('is a conclusion about runs, and about methods only over training seeds', () => {
    expect(concluded(pair('neutral', 0.6, { seeds: span(0.6, 0.3) }))).toContain(
      'It holds for these runs; it is not shown of the method: over training seeds the win rate is 60 % (30 to 90).',
    )
    expect(concluded(pair('neutral', 0.4, { seeds: span(0.4, 0.05) }))).toContain(
      'It holds for the method with this data and these settings, and not for these runs alone: over training seeds the win rate is 60 % (55 to 65).',
    )
  })
})

// From answers to the page

const prompts = 24

const completionsOf = (seed: number, better: number, more: Partial<ScoredCompletions> = {}): ScoredCompletions => {
  const random = rng(seed)
  const grid = <T>(of: (i: number, k: number) => T) => Array.from({ length: prompts }, (_, i) => [of(i, 0), of(i, 1)])
  const quality = grid((i, k) => better + random.normal(2 * i + k))
  return {
    name: 'end',
    texts: grid((i, k) => `Once upon a time there were ${i} cats and ${k} ${'very '.repeat((i * seed) % 4)}big dogs.`),
    tokens: grid(() => 12),
    cut: grid((i) => Number(i % 8 === 0)),
    rewards: new Map([
      ['neutral', quality.map((row) => row.map((x) => Math.round(x)))],
      ['scalar', quality.map((row, i) => row.map((x) => (i === 3 ? Number.NaN : 100 + 10 * x)))],
    ]),
    ...more,
  }
}
const kl = (value: number) => {
  const grid = Array.from({ length: prompts }, (_, i) => [value + 0.1 * (i % 3), value])
  return { kl: { k1: grid, k3: grid } }
}
const data: ComparisonData = {
  seed: 1,
  sft: { ...completionsOf(1, 0), name: 'base' },
  policies: [
    { name: 'level1', runs: [[completionsOf(2, 0.5, { name: 'step 5', ...kl(1) }), completionsOf(3, 2, kl(4))]] },
    { name: 'level2', runs: [[completionsOf(4, 0, kl(2))]] },
  ],
  judges: judges.slice(0, 2),
}
const draws = makeDraws(1, { resamples: 200, signs: 999 })

describe('a comparison', () => {
  const findings = findingsOf(data, draws)

  it('finds what was planted, and tells from which rewards', () => {
    expect(findings.between.map(preferenceOf)).toEqual(['a', 'a'])
    expect(findings.against.map(({ a, b, judge }) => [a, b, judge])).toEqual([
      ['level1', 'base', 'neutral'],
      ['level1', 'base', 'scalar'],
      ['level2', 'base', 'neutral'],
      ['level2', 'base', 'scalar'],
    ])
    const cell = findings.table.find(({ policy, judge }) => policy === 'level1' && judge === 'scalar')!
    expect(cell).toMatchObject({ failed: 2, reward: { value: expect.closeTo(120, -1) } })
    expect(findings.table[0].standardised!.value).toBeCloseTo(0, 12)
    expect(findings.judges.map(({ failed }) => failed)).toEqual([0, 6])
    expect(findings.frontiers[0].paths.map(({ points }) => points.length)).toEqual([2, 1])
    expect(findings.between[0].equalKl).toMatchObject({ farther: 'level1', between: 1 })
  })

  it('ends with its limits', () => {
    const [level, against, limits] = conclusionsOf(findings)
    expect(level).toMatch(/^The answers of level1 are preferred to those of level2 by every judge/)
    expect(against).toMatch(
      /^Against the SFT policy base: level1 is preferred \(neutral .*; level2 is not shown to differ/,
    )
    expect(limits).toContain('24 held-out prompts with 2 answers each')
    expect(limits).toContain('(2 and 4 of them) are corrected together (Holm)')
    expect(limits).toContain('Each policy is one training run')
    expect(limits).toContain('6 rewards of scalar are no number, left out and not counted as 0')
  })

  it('compares a policy alone with the SFT policy', () => {
    const alone = findingsOf({ ...data, policies: data.policies.slice(0, 1) }, draws)
    const [level, moved, limits] = conclusionsOf(alone)
    const rate = /neutral (\d+) % \((\d+) to (\d+)\)/.exec(level)!.slice(1).map(Number)
    const { winRate } = alone.against[0]
    expect(rate).toEqual([winRate.value, winRate.low, winRate.high].map((x) => Math.round(100 * x)))
    expect(level).toMatch(/^The answers of level1 are preferred to those of base by every judge: neutral/)
    expect(moved).toBe('level1 has moved 4.05 (4.04 to 4.06) nats of KL per answer from base.')
    expect(limits).toContain('and the 2 tests are corrected together (Holm)')
    expect(limits).toContain('level1 is one training run')
    const page = { conclusions: [], warnings: [], examples: [], settings: [], command: [] }
    const { plots, html } = comparisonPage({ findings: alone, ...page })
    expect(html).toContain('<h1>Whether level1 answers better than base, and who says so</h1>')
    expect(Object.keys(plots)).toEqual(['win-rates-sft', 'reward-kl-1', 'reward-kl-2'])
    const worse = findingsOf(
      { ...data, sft: { ...completionsOf(5, 3), name: 'base' }, policies: [data.policies[1]] },
      draws,
    )
    expect(conclusionsOf(worse)[0]).toMatch(/^The answers of base are preferred to those of level2 by every judge/)
  })

  it('concludes nothing from one prompt, and has no scale where a judge gives one reward to all', () => {
    const first = (each: ScoredCompletions): ScoredCompletions => ({
      ...each,
      texts: each.texts.slice(0, 1),
      tokens: [[1, 1]],
      cut: [[0, 0]],
      kl: undefined,
      rewards: new Map([['neutral', [[1, 1]]]]),
    })
    const one: ComparisonData = {
      seed: 1,
      sft: first(data.sft),
      judges: judges.slice(0, 1),
      policies: data.policies.map(({ name, runs }) => ({ name, runs: runs.map((run) => run.map(first)) })),
    }
    const found = findingsOf(one, draws)
    expect(conclusionsOf(found)).toEqual([expect.stringMatching(/^One prompt allows no statistics/)])
    expect(found.judges[0].scale).toBeUndefined()
    const { html } = comparisonPage({
      findings: found,
      conclusions: [],
      warnings: [],
      examples: [],
      settings: [],
      command: [],
    })
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
  })

  it('makes a page that loads nothing from a network', () => {
    const { html, plots } = comparisonPage({
      findings,
      conclusions: conclusionsOf(findings),
      warnings: ['odd <thing>'],
      settings: [['prompts', '24']],
      command: ['attune'],
      examples: [{ prompt: 'Once', completions: [{ policy: 'level1', text: 'upon <b>' }] }],
    })
    expect(html).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link|NaN|undefined|Infinity/)
    expect(html.match(/<svg /g)).toHaveLength(8)
    expect(html).toContain('odd &#60;thing&#62;')
    expect(Object.keys(plots)).toEqual(['win-rates', 'win-rates-sft', 'reward-kl-1', 'reward-kl-2'])
  })
})
