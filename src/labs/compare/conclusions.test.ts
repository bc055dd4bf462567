/** The sentence for every kind of result, and the page made from findings. */
import { describe, expect, it } from 'vitest'
import type { Interval } from '../../statistics/intervals.ts'
import { makeDraws } from '../../statistics/resampling.ts'
import { rng } from '../../util/rng.ts'
import { againstBase } from './againstBase.ts'
import { conclusionsOf, noEvidence, pairCauses, pairVerdict, wordsOf } from './conclusions.ts'
import {
  type ComparisonData,
  findingsOf,
  type JudgeInfo,
  type PairFindings,
  type ScoredCompletions,
} from './findings.ts'
import { headlineOf } from './headline.ts'
import { comparisonPage } from './report.ts'
import { preferenceOf, winnersFirst } from './verdicts.ts'

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
const concluded = (...pairs: PairFindings[]) => pairVerdict(pairs, judges)
const caused = (pair: PairFindings) => pairCauses([pair], judges, 'base').join(' ')

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

  it('is preferred by every judge, among which those that it was trained on do not count', () => {
    expect(pairVerdict([pair('neutral', 0.6), pair('other', 0.7)], judges)).toBe(
      'The answers of level1 are preferred to those of level2 by every judge: neutral 60 % (52 to 68) and other 70 % (62 to 78).',
    )
    expect(concluded(pair('neutral', 0.6), pair('scalar', 0.7), pair('probabilistic', 0.62))).toBe(
      'The answers of level1 are preferred to those of level2 by neutral 60 % (52 to 68), which neither was trained on; scalar 70 % (62 to 78) and probabilistic 62 % (54 to 70) prefer level1 too, but level1 was trained on scalar and level2 was trained on probabilistic.',
    )
  })

  it('is preferred by the judge that neither was trained on, whatever the others say', () => {
    expect(concluded(pair('neutral', 0.4), pair('scalar', 0.7), pair('probabilistic', 0.5))).toBe(
      'The answers of level2 are preferred to those of level1 by neutral 60 % (52 to 68), which neither was trained on; scalar 30 % (22 to 38) prefers level1, probabilistic 50 % (42 to 58) does not tell them apart, but level1 was trained on scalar and level2 was trained on probabilistic.',
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
      'contradict each other on level1 and level2; win rate of level1 over level2: scalar 70 % (62 to 78) prefers level1, probabilistic 30 % (22 to 38) prefers level2',
    )
    expect(text).toContain('neutral 50 % (42 to 58), which neither was trained on, does not tell them apart')
    expect(concluded(pair('scalar', 0.7), pair('probabilistic', 0.3))).toContain('there is none')
  })

  it('cannot be told apart, which is not being equal', () => {
    const open = [pair('neutral', 0.54), pair('scalar', 0.5)]
    expect(concluded(...open)).toBe(
      'level1 and level2 cannot be told apart; win rate of level1 over level2: neutral 54 % (46 to 62). scalar 50 % (42 to 58) does not count, since level1 was trained on scalar.',
    )
    const shared = [{ name: 'scalar', trained: ['level1', 'level2'] }]
    expect(pairVerdict(open, shared)).toContain(
      'scalar 50 % (42 to 58) does not count, since both were trained on scalar.',
    )
    expect(noEvidence([open, open, [pair('neutral', 0.7)]], judges)).toEqual([
      'With 100 prompts a single test misses a win rate below 61 % more than one time in five, so not being told apart is no evidence of being equal: it takes more prompts.',
    ])
    expect(noEvidence([[pair('neutral', 0.7)]], judges)).toEqual([])
    const clustered = pair('neutral', 0.54, { clusters: 15 })
    expect(noEvidence([[clustered]], judges, { column: 'kind', count: 15 })[0]).toMatch(
      /^With 15 clusters of prompts \(by kind\) .* it takes more clusters\.$/,
    )
    expect(concluded(pair('neutral', 0.5, { winRate: span(0.5, 0.03) }))).toBe(
      'level1 and level2 are equal to within 5 points; win rate of level1 over level2: neutral 50 % (47 to 53).',
    )
  })

  it('of which all judges mostly tie comes after what other judges say of other pairs, and is not called equal', () => {
    const tying = (judge: string, ties: number, more: Partial<PairFindings> = {}) =>
      pair(judge, 0.5, {
        winRate: span(0.5, 0.03),
        outcome: { wins: (1 - ties) / 2, ties, losses: (1 - ties) / 2 },
        ...more,
      })
    const both = [tying('neutral', 0.94), tying('other', 0.96), pair('scalar', 0.42, { corrected: 0.2 })]
    expect(concluded(...both)).toBe(
      'Little is said about level1 and level2: neutral and other hardly tell any two answers apart; win rate of level1 over level2: neutral 50 % (47 to 53, 94 % ties) and other 50 % (47 to 53, 96 % ties). scalar 42 % (34 to 50) does not count, since level1 was trained on scalar.',
    )
    const headline = (...pairs: PairFindings[]) =>
      headlineOf({ ...findingsOf(data, draws), judges: judges as never, against: [], between: pairs })
    expect(headline(...both)).toBe(
      'The judges neutral and other mostly tie (in 94 % of cases or more) and say little about level1 and level2',
    )
    // What a judge that tells answers apart says leads, whichever place it has
    const third = { a: 'level1', b: 'level3' }
    expect(headline(...both, tying('neutral', 0.9, third), pair('other', 0.7, third))).toBe(
      'level1 beats level3; the judges neutral and other mostly tie (in 94 % of cases or more) and say little about level1 and level2',
    )
    const told = pair('other', 0.5, { winRate: span(0.5, 0.03) })
    expect(headline(tying('neutral', 0.94), told)).toBe(
      'level1 and level2 are equal; the judge neutral mostly ties (in 94 % of cases)',
    )
    expect(concluded(tying('neutral', 0.94), told)).toBe(
      'level1 and level2 are equal to within 5 points; win rate of level1 over level2: neutral 50 % (47 to 53, 94 % ties) and other 50 % (47 to 53).',
    )
    expect(headline(tying('neutral', 0.94), pair('other', 0.5))).toBe(
      'No difference between level1 and level2 is shown; the judge neutral mostly ties (in 94 % of cases)',
    )
  })

  it('with the model before training names every judge that does not count, whoever wins', () => {
    const to = (judge: string, rate: number) => pair(judge, rate, { b: 'base' })
    const text = (...pairs: PairFindings[]) =>
      againstBase({ ...findingsOf(data, draws), judges: judges as never, against: pairs })
    const start = 'Against base, the model before training: '
    expect(text(to('neutral', 0.7), to('other', 0.5), to('scalar', 0.6))).toBe(
      `${start}level1 is preferred (neutral 70 % (62 to 78); other 50 % (42 to 58) does not tell them apart; scalar 60 % (52 to 68) prefers level1 too, but level1 was trained on scalar).`,
    )
    expect(text(to('neutral', 0.3), to('scalar', 0.7))).toBe(
      `${start}base is preferred to level1 (neutral 70 % (62 to 78); scalar 30 % (22 to 38) prefers level1, but level1 was trained on scalar).`,
    )
    expect(text(to('neutral', 0.5), to('scalar', 0.7))).toBe(
      `${start}level1 is preferred by scalar 70 % (62 to 78) alone, though level1 was trained on scalar (neutral 50 % (42 to 58) does not tell them apart).`,
    )
    expect(text(to('neutral', 0.55), to('scalar', 0.5))).toBe(
      `${start}level1 is not shown to differ (win rate of level1 over base: neutral 55 % (47 to 63); scalar 50 % (42 to 58) does not count, since level1 was trained on scalar).`,
    )
    expect(text(to('neutral', 0.7), to('other', 0.3), to('scalar', 0.5))).toContain('scalar 50 % (42 to 58)')
  })

  it('may be preferred for its length alone', () => {
    const controlled = (rate: number, half: number, beyond = false) => ({
      controlled: { winRate: span(rate, half), slope: 0.1, beyond },
    })
    const longer = { longer: span(40, 10) }
    expect(caused(pair('neutral', 0.6, { ...longer, ...controlled(0.51, 0.1) }))).toContain(
      'Answers of level1 are 40 characters longer; where answers are equally long, neutral prefers level1 in 51 % (41 to 61), so length may be all that is preferred.',
    )
    expect(caused(pair('neutral', 0.4, { ...longer, ...controlled(0.48, 0.1) }))).toContain(
      'Answers of level2 are 40 characters shorter; where answers are equally long, neutral prefers level2 in 52 % (42 to 62)',
    )
    expect(caused(pair('neutral', 0.6, { ...longer, ...controlled(0.6, 0.05) }))).toContain(
      'level1 over level2: Length does not explain it: where answers are equally long, neutral prefers level1 in 60 % (55 to 65).',
    )
    expect(caused(pair('neutral', 0.6, { ...longer, ...controlled(0.6, 0.05, true) }))).toContain(
      'that on every prompt: length and preference cannot be told apart',
    )
    expect(caused(pair('neutral', 0.6, controlled(0.55, 0.06)))).toContain('which does not exclude 50 %')
  })

  it('may be preferred for its higher KL alone', () => {
    const equalKl = (difference: Interval, farther = 'level1', between = 2) => ({
      equalKl: { difference, between, farther, kl: [span(12, 1), span(4, 1)] as const },
    })
    expect(caused(pair('neutral', 0.6, equalKl(span(0.1, 0.2))))).toContain(
      'level1 has moved farther from base, 12 nats of KL against 4.00 of level2. At equal KL (read off between base, 2 checkpoints and the final model) it is not ahead beyond doubt: 0.10 (-0.10 to 0.30) standard deviations of reward by neutral, so the greater distance may be all of it.',
    )
    expect(caused(pair('neutral', 0.6, equalKl(span(0.5, 0.2), 'level1', 0)))).toMatch(
      /\(read off between base and the final model\) it is still ahead/,
    )
    expect(caused(pair('neutral', 0.6, equalKl(span(-0.5, 0.2))))).toMatch(
      /it is behind: .*, so the greater distance may be all of it/,
    )
    expect(caused(pair('neutral', 0.6, equalKl(span(0, 1), 'level2')))).toContain(
      'level1 has also moved less far from base: 4.00 nats of KL against 12 of level2.',
    )
  })

  it('is a conclusion about runs, and about methods only over training seeds', () => {
    expect(caused(pair('neutral', 0.6, { seeds: span(0.6, 0.3) }))).toContain(
      'It holds for these runs; it is not shown of the method: over training seeds the win rate is 60 % (30 to 90).',
    )
    expect(caused(pair('neutral', 0.4, { seeds: span(0.4, 0.05) }))).toContain(
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

const plain = { warnings: [], examples: [], temperature: 1, settings: [], command: [] }

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
    expect(findings.judges.map(({ failed, prompts }) => [failed, prompts])).toEqual([
      [0, 24],
      [6, 23],
    ])
    expect(findings.frontiers[0].paths.map(({ points }) => points.length)).toEqual([2, 1])
    expect(findings.between[0].equalKl).toMatchObject({ farther: 'level1', between: 1 })
  })

  it('begins with the result and ends with its limits', () => {
    const conclusions = conclusionsOf(findings, 64)
    const [level, against] = conclusions.verdicts
    expect(conclusions.headline).toBe('level1 beats base and level2; no difference between base and level2 is shown')
    expect(level).toMatch(
      /^The answers of level1 are preferred to those of level2 by neutral .*, which neither was trained on; scalar .* prefers level1 too, but level1 was trained on scalar\.$/,
    )
    expect(against).toMatch(
      /^Against base, the model before training: level1 is preferred \(neutral .*; level2 is not shown to differ/,
    )
    const limits = conclusions.limits.join(' ')
    expect(limits).toContain('24 held-out prompts with 2 answers each')
    expect(limits).toContain('There are 2 tests between the models and 4 tests against base; if there is no')
    expect(limits).toContain('Each model is one training run')
    expect(limits).toContain(
      'scalar gave rewards to all models on 23 of 24 prompts; 6 rewards of scalar are no number, left out and not counted as 0',
    )
    const narrow = 'an interval without 50 % is not always enough to tell two models apart'
    expect(limits).not.toContain(narrow)
    const nearly = pair('neutral', 0.58, { winRate: span(0.58, 0.07), corrected: 0.09 })
    expect(conclusionsOf({ ...findings, between: [nearly] }, 64).limits.join(' ')).toContain(narrow)
    const kinds = conclusionsOf({ ...findings, clusters: { column: 'kind', count: 8 } }, 64).limits.join(' ')
    expect(kinds).toContain(
      '24 held-out prompts in 8 clusters with 2 answers each. Prompts with the same kind may be alike, so they are one cluster: intervals and tests rest on the 8 clusters, not on the 24 prompts.',
    )
    const words = wordsOf(conclusions)
    expect(words[0]).toBe(`${conclusions.headline}.`)
    expect(words.at(-1)).toBe(limits)
    expect(words.join(' ')).not.toMatch(/SFT policy|because its run kept/)
  })

  it('compares a policy alone with the model before training', () => {
    const alone = findingsOf({ ...data, policies: data.policies.slice(0, 1) }, draws)
    const { headline, verdicts, causes, limits } = conclusionsOf(alone, 64)
    expect(headline).toBe('level1 beats base')
    const rate = /neutral (\d+) % \((\d+) to (\d+)\)/.exec(verdicts[0])!.slice(1).map(Number)
    const { winRate } = alone.against[0]
    expect(rate).toEqual([winRate.value, winRate.low, winRate.high].map((x) => Math.round(100 * x)))
    expect(verdicts[0]).toMatch(/^The answers of level1 are preferred to those of base by neutral/)
    expect(causes.at(-1)).toBe('level1 has moved 4.05 (4.04 to 4.06) nats of KL per answer from base.')
    expect(limits.join(' ')).toContain('There are 2 tests against base; if there is no difference, the set of tests')
    expect(limits.join(' ')).toContain('level1 is one training run')
    const { plots, html } = comparisonPage({ findings: alone, ...plain, conclusions: conclusionsOf(alone, 64) })
    expect(html).toContain('<h1>level1 beats base</h1>')
    expect(Object.keys(plots)).toEqual(['win-rates-sft', 'reward-kl-1', 'reward-kl-2'])
  })

  it('tells the winner first in words, numbers and drawings, and keeps the findings as they are', () => {
    const worse = findingsOf(
      { ...data, sft: { ...completionsOf(5, 3), name: 'base' }, policies: [data.policies[1]] },
      draws,
    )
    expect(worse.against[0]).toMatchObject({ a: 'level2', b: 'base' })
    const turned = winnersFirst(worse)
    expect(turned.against[0]).toMatchObject({
      a: 'base',
      b: 'level2',
      winRate: { value: expect.closeTo(1 - worse.against[0].winRate.value, 12) },
      longer: { low: 0 - worse.against[0].longer.high },
    })
    expect(winnersFirst(turned)).toEqual(turned)
    const conclusions = conclusionsOf(worse, 64)
    expect(conclusions.headline).toBe('base beats level2')
    expect(conclusions.verdicts[0]).toMatch(/^The answers of base are preferred to those of level2 by every judge/)
    const { html, plots } = comparisonPage({ findings: worse, ...plain, conclusions })
    expect(plots['win-rates-sft']).toContain('base over level2')
    expect(html).not.toContain('level2 over base')
  })

  it('says whose answers were cut off much more often', () => {
    const cutting = (...cuts: number[]) => {
      const policies = cuts.map((cut, i) => ({ ...findings.policies[i], cut }))
      return conclusionsOf({ ...findings, policies }, 64).causes.filter((text) => text.includes('cut off'))
    }
    expect(cutting(0.33, 0.54, 0.4)).toEqual([
      "How many answers were cut off at 64 tokens differs: 54 % of level1's, 40 % of level2's and 33 % of base's. The judges saw these without their end. Raise --max-new-tokens; if about as many are still cut off, level1 has unlearnt to stop.",
    ])
    expect(cutting(0.3, 0.6, 0.5)[0]).toMatch(/: 60 % of level1's, 50 % .* level1 and level2 have unlearnt to stop\.$/)
    // A model before training has nothing to unlearn
    expect(cutting(0.9, 0.1)).toEqual([
      expect.stringMatching(/: 90 % of base's and 10 % of level1's\. .* base has not learnt to/),
    ])
    expect(cutting(0.33, 0.52, 0.4)).toEqual([])
  })

  it('has a headline for every kind of result', () => {
    const between = (...pairs: [string, string, number][]) =>
      headlineOf({
        ...findings,
        judges: findings.judges.slice(0, 1),
        against: [],
        between: pairs.map(([a, b, rate]) => pair('neutral', rate, { a, b })),
      })
    expect(between(['sft', 'dpo', 0.3], ['sft', 'grpo', 0.3], ['dpo', 'grpo', 0.5])).toBe(
      'dpo and grpo beat sft; no difference between them is shown',
    )
    expect(between(['sft', 'dpo', 0.5], ['sft', 'grpo', 0.5], ['dpo', 'grpo', 0.5])).toBe(
      'No difference between sft, dpo and grpo is shown',
    )
    expect(between(['sft', 'dpo', 0.3], ['sft', 'grpo', 0.5], ['dpo', 'grpo', 0.5])).toBe(
      'dpo beats sft; no difference between sft and grpo and between dpo and grpo is shown',
    )
    expect(between(['sft', 'dpo', 0.3], ['sft', 'grpo', 0.3], ['dpo', 'grpo', 0.7])).toBe(
      'dpo beats sft and grpo; grpo beats sft',
    )
    const one = (...pairs: PairFindings[]) => headlineOf({ ...findings, against: [], between: pairs })
    expect(one(pair('scalar', 0.7))).toBe('level1 beats level2 only by a judge that one of them was trained on')
    expect(one(pair('neutral', 0.7), pair('other', 0.3))).toBe('The judges disagree on level1 and level2')
    expect(one(pair('neutral', 0.5, { winRate: span(0.5, 0.03) }))).toBe('level1 and level2 are equal')
    // Of the model before training too
    const [better, trainedOn] = [
      ['level1', 'level2'].map((a) => pair('neutral', 0.7, { a, b: 'base' })),
      ['base', 'level2'].map((b) => pair('scalar', 0.7, { b })),
    ]
    const open = pair('neutral', 0.5)
    expect(headlineOf({ ...findings, against: better, between: [open] })).toBe(
      'level1 and level2 beat base; no difference between them is shown',
    )
    expect(headlineOf({ ...findings, against: trainedOn.slice(0, 1), between: trainedOn.slice(1) })).toBe(
      'level1 beats base and level2 only by a judge that one of them was trained on',
    )
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
    expect(wordsOf(conclusionsOf(found, 64))).toEqual([
      'One prompt is too little to compare models.',
      expect.stringMatching(/^One prompt allows no statistics/),
    ])
    expect(found.judges[0].scale).toBeUndefined()
    const { html } = comparisonPage({ findings: found, ...plain, conclusions: conclusionsOf(found, 64) })
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
  })

  it('says where a judge gave all prompts the same result, or the model before training nearly one reward', () => {
    const rewarded = (each: ScoredCompletions, value: (i: number) => number): ScoredCompletions => ({
      ...each,
      rewards: new Map([['neutral', each.texts.map((row, i) => row.map(() => value(i)))]]),
    })
    const [first] = data.policies
    const found = findingsOf(
      {
        ...data,
        judges: judges.slice(0, 1),
        sft: { ...rewarded(data.sft, (i) => Number(i === 0)), name: 'base' },
        policies: [{ ...first, runs: first.runs.map((run) => run.map((each) => rewarded(each, () => 2))) }],
      },
      draws,
    )
    const [{ winRate, controlled }] = found.against
    // Wilson's interval at equal length too, and not one without width
    expect(winRate).toMatchObject({ value: 1, low: expect.closeTo(0.862, 3), high: 1 })
    expect(controlled!.winRate).toEqual(winRate)
    expect(found.judges[0].commonest).toBeCloseTo(23 / 24)
    const { html } = comparisonPage({ findings: found, ...plain, conclusions: conclusionsOf(found, 64) })
    expect(html).toMatch(/\+\d\.\d\d \*/)
    expect(html).toContain('* neutral gave 95.8 % of the answers of base one and the same reward')
    const usual = comparisonPage({ findings, ...plain, conclusions: conclusionsOf(findings, 64) }).html
    expect(usual).not.toMatch(/\d \*|one and the same reward/)
    expect(usual).toContain('23 of 24')
  })

  it('makes a page that loads nothing from a network', () => {
    const { html, plots } = comparisonPage({
      findings,
      conclusions: conclusionsOf(findings, 64),
      warnings: ['odd <thing>'],
      settings: [['prompts', '24']],
      command: ['attune'],
      temperature: 1,
      examples: [{ prompt: 'Once', completions: [{ policy: 'level1', text: 'upon <b>' }] }],
    })
    expect(html).not.toMatch(/https?:|src=|href=|url\(|@import|<script|<link|NaN|undefined|Infinity/)
    expect(html.match(/<svg /g)).toHaveLength(8)
    expect(html).toContain('odd &#60;thing&#62;')
    expect(Object.keys(plots)).toEqual(['win-rates', 'win-rates-sft', 'reward-kl-1', 'reward-kl-2'])
  })
})
