/** Win rates, length control, ratings and marks against published figures and those of reference implementations. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { lengthControl, simpleLengthControl } from '../../src/feedback/winRate/lengthControl.ts'
import { modelMarks } from '../../src/feedback/winRate/marks.ts'
import { bradleyTerryRatings, eloRatings, ratingOfShare, type Vote } from '../../src/feedback/winRate/ratings.ts'
import { readCategories, readJudgements, readRegularizer } from '../../src/feedback/winRate/readJudgements.ts'
import { winRates } from '../../src/feedback/winRate/winRates.ts'
import { bradleyTerry, strengthErrors, strengthErrorsFrom } from '../../src/statistics/bradleyTerry.ts'
import { Fault } from '../../src/util/fault.ts'
import { type Rng, rng } from '../../src/util/rng.ts'
import { feedbackFile, feedbackJson, jsonRows, sharedGolden } from '../support/feedback.ts'

// biome-ignore lint/suspicious/noExplicitAny: rows of many kinds
type Json = any

const jsonOf = (path: string): Json => JSON.parse(readFileSync(path, 'utf8'))

/** So many of 0 to n - 1, each at most once, in random order. */
const some = (n: number, count: number, random: Rng): number[] => {
  const moved = new Map<number, number>()
  return Array.from({ length: count }, (_, i) => {
    const j = i + Math.floor(random.uniform(i) * (n - i))
    const drawn = moved.get(j) ?? j
    moved.set(j, moved.get(i) ?? i)
    return drawn
  })
}

const folder = mkdtempSync(join(tmpdir(), 'attune-winrate-'))
afterAll(() => rmSync(folder, { recursive: true }))

const written = (name: string, rows: readonly object[]) => {
  const path = join(folder, name)
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}

const alpaca = sharedGolden('judge/alpaca')

describe.skipIf(!alpaca)('AlpacaEval 2, published', () => {
  const { models } = alpaca ? jsonOf(`${alpaca}/leaderboard.json`) : { models: {} }
  const names = Object.keys(models)
  const filesOf = (model: string) => [`${alpaca}/${model}.jsonl`]
  const regularizer = async () => readRegularizer(`${alpaca}/regularizer.csv`)

  it.each(names)('the win rate of %s is exact', async (model) => {
    const { published } = models[model]
    const [row] = winRates((await readJudgements(filesOf(model))).judgements)
    expect(Math.abs(row.win_rate - published.win_rate)).toBeLessThan(1e-9)
    expect(Math.abs(row.standard_error - published.standard_error)).toBeLessThan(1e-9)
    expect(row.discrete_win_rate).toBeCloseTo(published.discrete_win_rate, 9)
    const { n, n_wins, n_wins_base, n_draws, avg_length } = row
    expect({ n_total: n, n_wins, n_wins_base, n_draws, avg_length }).toEqual(
      Object.fromEntries(
        ['n_total', 'n_wins', 'n_wins_base', 'n_draws', 'avg_length'].map((key) => [key, published[key]]),
      ),
    )
  })

  it.each(names)('at the given C the length-controlled win rate of %s is the exact optimum', async (model) => {
    const { C, converged } = models[model].glm
    const { judgements } = await readJudgements(filesOf(model))
    const [row] = winRates(judgements, { regularizer: await regularizer(), C })
    expect(Math.abs(row.length_controlled_winrate! - converged.length_controlled_winrate)).toBeLessThan(1e-6)
    expect(Math.abs(row.lc_standard_error! - converged.lc_standard_error)).toBeLessThan(1e-6)
  })

  it('with cross-validation all are within 0.15 points', async () => {
    const { judgements } = await readJudgements(names.flatMap(filesOf))
    const rows = winRates(judgements, { regularizer: await regularizer() })
    expect(rows).toHaveLength(names.length)
    for (const { model, length_controlled_winrate } of rows) {
      const published = models[model].published.length_controlled_winrate
      expect(Math.abs(length_controlled_winrate! - published), model).toBeLessThan(0.15)
    }
  })

  it('a row names its prompt by its index, whatever the order of the rows', async () => {
    const { C, converged } = models[names[0]].glm
    const { judgements } = await readJudgements([written('reversed.jsonl', jsonRows(filesOf(names[0])[0]).reverse())])
    const [row] = winRates(judgements, { regularizer: await regularizer(), C })
    expect(row.length_controlled_winrate).toBeCloseTo(converged.length_controlled_winrate, 8)
  })

  it('rows of another benchmark are refused', async () => {
    const more = jsonRows(filesOf(names[0])[0]).map((row) => ({ ...row, index: row.index + 1 }))
    const { judgements } = await readJudgements([written('more.jsonl', more)])
    const loaded = await regularizer()
    expect(() => winRates(judgements, { regularizer: loaded })).toThrow('has 805 prompts')
  })

  it('costs less than 0.1 seconds of computing a model, with cross-validation', async () => {
    const { judgements } = await readJudgements(filesOf('claude-2.1'))
    const controlled = lengthControl(await regularizer())
    const rows = {
      baseline: judgements.map(({ lengths }) => lengths![0]),
      model: judgements.map(({ lengths }) => lengths![1]),
      preferred: judgements.map(({ preferred }) => preferred!),
    }
    const places = judgements.map((_, i) => i)
    // The quickest of some: the first ones are compiled, and other processes take their share
    const seconds = [1, 2, 3, 4].map(() => {
      const before = process.cpuUsage()
      controlled(rows, places)
      return process.cpuUsage(before).user / 1e6
    })
    expect(Math.min(...seconds)).toBeLessThan(0.1)
  })
})

describe.skipIf(!sharedGolden('judge/alpaca_v1'))('AlpacaEval 1, published', () => {
  const votes = sharedGolden('judge/alpaca_v1') ? jsonRows(`${sharedGolden('judge/alpaca_v1')}/votes.jsonl`) : []

  it.each(votes)('$model, with ties and missing verdicts', async ({ model, baseline, preference, published }) => {
    const rows = preference.map((value: number | null) => ({
      generator_1: baseline,
      generator_2: model,
      preference: value,
    }))
    const [row] = winRates((await readJudgements([written('v1.jsonl', rows)])).judgements)
    expect(row.win_rate).toBeCloseTo(published.win_rate, 9)
    expect(row.standard_error).toBeCloseTo(published.standard_error, 9)
    expect([row.n, row.n + row.n_dropped]).toEqual([published.n_total, preference.length])
  })
})

describe.skipIf(!sharedGolden('judge/alpaca_rank'))('ratings from win rates, published', () => {
  const { elo } = sharedGolden('judge/alpaca_rank')
    ? jsonOf(`${sharedGolden('judge/alpaca_rank')}/rank.json`)
    : { elo: [] }

  it.each(elo as Record<string, number>[])('$model', ({ length_controlled_winrate: rate, elo_published }) => {
    expect(Math.abs(ratingOfShare(rate / 100, 1251) - elo_published)).toBeLessThan(2e-6)
  })
})

describe('Bradley-Terry', () => {
  it.each(feedbackJson('bt.json').data as Json[])(
    'abilities and standard errors of $name as published',
    ({ contests, published }) => {
      const names = [...new Set((contests as Json[]).flatMap((contest) => [contest[0], contest[1]]))] as string[]
      const wins = names.map(() => names.map(() => 0))
      for (const [a, b, won, lost] of contests) {
        wins[names.indexOf(a)][names.indexOf(b)] += won
        wins[names.indexOf(b)][names.indexOf(a)] += lost
      }
      const fit = bradleyTerry(wins)!
      const reference = names.indexOf(published.reference)
      const named = (values: readonly number[]) => Object.fromEntries(names.map((name, i) => [name, values[i]]))
      const near = (values: Record<string, number>, digits: number) =>
        Object.fromEntries(Object.entries(values).map(([name, value]) => [name, expect.closeTo(value, digits)]))
      expect(named(fit.strengths.map((x) => x - fit.strengths[reference]))).toEqual(near(published.ability, 6))
      expect(named(strengthErrorsFrom(fit, reference))).toEqual(near(published.se, 6))
      expect(named(fit.strengths)).toEqual(near(published.sum_to_zero, 6))
      expect(named(strengthErrors(fit))).toEqual(near(published.sum_to_zero_se, 6))
    },
  )

  it('has the strengths and likelihoods of scipy, and none where there is no finite maximum', () => {
    const cases = feedbackJson('ratings.json.gz').bradley_terry
    expect(cases.length).toBeGreaterThan(20)
    for (const { wins, log_strengths, log_likelihood } of cases) {
      const fit = bradleyTerry(wins)
      if (log_strengths === null) expect(fit).toBeUndefined()
      else {
        expect(fit!.strengths).toEqual(log_strengths.map((x: number) => expect.closeTo(x, 6)))
        expect(fit!.logLikelihood).toBeCloseTo(log_likelihood, 6)
      }
    }
  })
})

describe('votes of QLoRA', () => {
  const pairs = jsonRows(feedbackFile('qlora-pairs.jsonl.gz'))
  const systems = [...new Set(pairs.map(({ first }) => first as string))]
  const scores: Record<string, number> = { '1': 1, '2': 0, t: 0.5 }
  const votesWith = (unreadable: number | undefined): Vote[] =>
    pairs.flatMap(({ first, second, votes }) =>
      [...(votes as string)].flatMap((vote) => {
        const score = scores[vote] ?? unreadable
        return score === undefined ? [] : [{ a: systems.indexOf(first), b: systems.indexOf(second), score }]
      }),
    )
  const { bradley_terry_computed, elo_published } = feedbackJson('qlora.json')

  it('Bradley-Terry', () => {
    const ratings = bradleyTerryRatings(votesWith(undefined), systems.length)!
    for (const [i, system] of systems.entries())
      expect(Math.abs(ratings[i] - bradley_terry_computed.vicuna[system].elo), system).toBeLessThan(1e-6)
  })

  it('Elo, of 500 votes in random order as the published table has it', () => {
    const votes = votesWith(0.5)
    expect(votes).toHaveLength(4480)
    const runs = 5000
    const means = systems.map(() => 0)
    for (let run = 0; run < runs; run++) {
      const order = some(votes.length, 500, rng(7, run))
      eloRatings(votes, systems.length, order).forEach((rating, i) => {
        means[i] += rating / runs
      })
    }
    for (const [i, system] of systems.entries())
      expect(Math.abs(means[i] - elo_published.vicuna[system]), system).toBeLessThan(2.4)
  })
})

describe('length control, the simple form', () => {
  it('has the coefficients of scikit-learn', () => {
    const cases = feedbackJson('ratings.json.gz').length_controlled
    expect(cases.length).toBeGreaterThan(20)
    for (const { len_1, len_2, wins, ...expected } of cases) {
      const { winRate, weights } = simpleLengthControl({ baseline: len_1, model: len_2, preferred: wins })!
      expect(winRate).toBeCloseTo(expected.length_controlled_win_rate, 6)
      expect(weights).toEqual([expect.closeTo(expected.length_weight, 6), expect.closeTo(expected.intercept, 6)])
    }
  })
})

describe('files of judgements', () => {
  const expected = feedbackJson('judge-expected.json')

  it('AlpacaEval annotations: 0 is a tie, null is left out', async () => {
    const [row] = winRates((await readJudgements([feedbackFile('alpacaeval-annotations.json')])).judgements)
    const { n: n_total, n_dropped, n_wins, n_wins_base, n_draws } = row
    const { win_rate, standard_error, discrete_win_rate, ...counts } = expected.alpacaeval
    expect({ n_total, n_dropped, n_wins, n_wins_base, n_draws }).toEqual(counts)
    expect(row.win_rate).toBeCloseTo(win_rate, 9)
    expect(row.standard_error).toBeCloseTo(standard_error, 9)
    expect(row.discrete_win_rate).toBeCloseTo(discrete_win_rate, 9)
  })

  it('MT-bench pairs: a win only where both orders agree, an error drops the row', async () => {
    const { pair } = expected.mtbench
    const rows = winRates((await readJudgements([feedbackFile('mtbench-pair.jsonl')])).judgements)
    const first = rows.find(({ model }) => model === 'attune-a')!
    expect([first.n, first.n_dropped, first.n_wins, first.n_wins_base, first.n_draws]).toEqual([
      pair.n,
      pair.n_error,
      pair.win,
      pair.loss,
      pair.tie,
    ])
    expect(first.win_rate / 100).toBeCloseTo(pair.win_rate_adjusted_model_1, 12)
  })

  it('MT-bench marks: means by turn and category, -1 is no mark', async () => {
    const categories = await readCategories(feedbackFile('mtbench-question.jsonl'))
    const rows = modelMarks((await readJudgements([feedbackFile('mtbench-single.jsonl')], categories)).marks)
    for (const { model, average, turn_1, turn_2, unparsed } of rows)
      expect({ average, turn_1, turn_2, unparsed }).toEqual(expected.mtbench.single[model])
    expect(rows.map(({ model }) => model)).toEqual(['attune-b', 'attune-a'])
    const marks = jsonRows(feedbackFile('mtbench-single.jsonl')).filter(
      ({ model, score, question_id }) =>
        model === 'attune-a' && score > 0 && categories.get(String(question_id)) === 'math',
    )
    expect(rows[1].categories?.math.n).toBe(marks.length)
    expect(rows[1].categories?.math.average).toBeCloseTo(
      marks.reduce((sum, { score }) => sum + score, 0) / marks.length,
      12,
    )
  })

  const malformed = feedbackJson('malformed.json.gz') as Json[]

  it.each(malformed)('$file', async ({ file, bytes, verdict, fault, line, row, column, take }) => {
    const path = join(folder, file)
    writeFileSync(path, Buffer.from(bytes, 'base64'))
    if (verdict === 'ok') {
      const { judgements, marks } = await readJudgements([path])
      expect(judgements.length + marks.length).toBe(take.length)
      return
    }
    const error = await readJudgements([path]).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(Fault)
    expect(error.code === fault || fault === undefined ? 'same' : `${error.code}, not ${fault}`).toBe('same')
    if (typeof row === 'number') expect(error.where.row).toBe(row)
    if (typeof line === 'number') expect(error.where.line).toBe(line)
    if (column && error.where.column !== undefined) expect(error.where.column).toBe(column)
  })

  it('rows of attune judge: pairs by verdict, single answers by grade, events and errors between them', async () => {
    const about = { judge: 'j', reason: '', generator_1: 'a', generator_2: 'b', len_1: 3, len_2: 5 }
    const paired = written('judged.jsonl', [
      { event: 'plan', n: 4 },
      { id: '7:1-2', verdict: 'A', verdicts: ['A', 'A'], scores: [], ...about },
      { id: '7:1-3', verdict: 'tie', verdicts: ['A', 'B'], scores: [], ...about },
      { id: 8, verdict: 'B', verdicts: ['B', 'B'], scores: [], ...about },
      { id: 9, verdict: 'error', verdicts: ['A', 'error'], scores: [], error: 'no-verdict', ...about },
      { event: 'end', n: 4 },
    ])
    const { judgements } = await readJudgements([paired])
    expect(judgements.map(({ item, preferred }) => [item, preferred])).toEqual([
      ['7', 0],
      ['7', 0.5],
      ['8', 1],
      ['9', undefined],
    ])
    const [a] = winRates(judgements).filter(({ model }) => model === 'a')
    expect([a.win_rate, a.n, a.n_wins, a.n_draws, a.n_dropped]).toEqual([50, 3, 1, 1, 1])
    const graded = written('graded.jsonl', [
      { id: 1, verdict: 'error', verdicts: [], scores: [], error: 'no-verdict', ...about },
      { id: 2, verdict: null, verdicts: [], scores: [4], ...about },
      { id: 3, verdict: null, verdicts: [], scores: [7], ...about },
    ])
    const [marks] = modelMarks((await readJudgements([graded])).marks)
    expect([marks.model, marks.average, marks.n, marks.unparsed]).toEqual(['a', 5.5, 2, 1])
  })

  it('judgements of one prompt are one cluster for the standard error', async () => {
    const vote = (question_id: number, winner: string) => ({ question_id, model_a: 'a', model_b: 'b', winner })
    const once = [1, 2, 3, 4].map((i) => vote(i, i === 1 ? 'model_b' : 'model_a'))
    const errorOf = async (rows: readonly object[]) =>
      winRates((await readJudgements([written('votes.jsonl', rows)])).judgements)[0].standard_error
    expect(await errorOf([...once, ...once])).toBeCloseTo(await errorOf(once), 12)
    expect(await errorOf(once)).toBeCloseTo(25, 12)
  })

  it('a file of something else is refused with what is read', async () => {
    const path = written('rows.jsonl', [{ prompt: 'a', completion: 'b' }])
    await expect(readJudgements([path])).rejects.toThrow(/row 0: holds no judgements/)
  })
})
