import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { openRows } from '../../data/openRows.node.ts'
import type { Ranking } from '../../data/rows.ts'
import { accuracyOf, dawidSkene } from '../../statistics/dawidSkene.ts'
import { rng } from '../../util/rng.ts'
import { consensusOf, labelConsensus } from './consensus.ts'
import { exportVotes } from './exportFile.ts'
import type { ExportTarget } from './exportTargets.ts'
import { importVotes, type Source } from './importVotes.ts'
import { comparisonsOf, type Ranks, taskGatherer } from './tasks.ts'
import { consensusRows, pairsOf, voteRecord } from './voteRows.ts'

const folder = mkdtempSync(join(tmpdir(), 'attune-import-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0
const newPath = (ending: string) => join(folder, `${files++}${ending}`)
const fileOf = (rows: readonly object[], ending = '.jsonl') => {
  const file = newPath(ending)
  writeFileSync(
    file,
    ending === '.json' ? JSON.stringify(rows) : rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
  )
  return file
}

const ranking = (ranks: Ranks, annotator?: string, responses = ranks.map((_, i) => `r${i}`)): Ranking => ({
  kind: 'ranking',
  prompt: 'p',
  responses,
  ranks,
  ...(annotator !== undefined && { vote: { annotator } }),
})

const tasksOf = (rows: readonly Ranking[]) => {
  const gatherer = taskGatherer()
  for (const row of rows) gatherer.add(row)
  return gatherer.tasks()
}

describe('pairs of a ranking', () => {
  it('are n choose 2, without ties and without those of which nothing is known', () => {
    const { pairs, dropped } = pairsOf(ranking([null, 1, 2, 1, null]))
    expect(pairs.map(({ responses }) => responses.join(' > '))).toEqual([
      'r1 > r0',
      'r2 > r0',
      'r3 > r0',
      'r1 > r2',
      'r1 > r4',
      'r3 > r2',
      'r2 > r4',
      'r3 > r4',
    ])
    expect(dropped).toEqual(['tie', 'unranked'])
  })

  it('of two responses are the row itself, with its margin', () => {
    const row = { ...ranking([2, 1]), margin: -0.5 }
    expect(pairsOf(row)).toEqual({ pairs: [row], dropped: [] })
    expect(voteRecord(row, 'preference').record).toEqual({ prompt: 'p', chosen: 'r1', rejected: 'r0', margin: 0.5 })
  })
})

describe('a consensus', () => {
  const votes = (verdicts: Record<string, Ranks>) =>
    tasksOf(Object.entries(verdicts).map(([annotator, ranks]) => ranking(ranks, annotator)))

  it('by majority is the most frequent verdict, a tie where two share the lead', () => {
    expect(consensusOf(votes({ a: [1, 2], b: [1, 2], c: [2, 1] }), 'majority').ranks).toEqual([[1, 2]])
    expect(consensusOf(votes({ a: [1, 2], b: [2, 1] }), 'majority').ranks).toEqual([[1, 1]])
    expect(consensusOf(votes({ a: [1, 2, 3], b: [1, 3, 2], c: [2, 1, 3] }), 'majority').ranks).toEqual([[1, 2, 3]])
  })

  it('leaves a response without a rank that nobody ranked beside another', () => {
    expect(consensusOf(votes({ a: [1, null, null] }), 'majority').ranks).toEqual([[1, 2, 2]])
    const rows = consensusRows(votes({ a: [null, null] }), consensusOf(votes({ a: [null, null] }), 'majority'))
    expect(rows).toEqual(['undecided'])
  })

  it('by Bradley-Terry gives the probability too, finite where all agree', () => {
    const { ranks, probs } = consensusOf(votes({ a: [1, 2], b: [1, 2], c: [1, 2] }), 'bradley-terry')
    expect(ranks).toEqual([[1, 2]])
    expect(probs[0]).toBeCloseTo(3.5 / 4, 8)
    expect(consensusOf(votes({ a: [1, 2, 3], b: [1, 2, 3] }), 'bradley-terry').ranks).toEqual([[1, 2, 3]])
  })

  it('counts how far annotators agree with it', () => {
    const { annotators } = consensusOf(votes({ a: [1, 2], b: [1, 2], c: [2, 1] }), 'majority')
    expect(annotators).toEqual([
      { annotator: 'a', votes: 1, agreement: 1 },
      { annotator: 'b', votes: 1, agreement: 1 },
      { annotator: 'c', votes: 1, agreement: 0 },
    ])
  })

  it('of the same task is found whatever the order of its responses', () => {
    const tasks = tasksOf([ranking([1, 2, 3], 'a'), ranking([3, 1, 2], 'b', ['r2', 'r0', 'r1'])])
    expect(tasks).toHaveLength(1)
    expect(tasks[0].votes.map(({ ranks }) => ranks)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ])
  })
})

describe('Dawid and Skene', () => {
  // Five annotators with planted accuracies; a majority of them is more often wrong than their best two
  const accuracies = [0.95, 0.9, 0.6, 0.55, 0.55]
  const random = rng(5, 1)
  const truth = Array.from({ length: 400 }, (_, i) => (random.uniform(i) < 0.4 ? 1 : 0))
  const votes = truth.flatMap((label, item) =>
    accuracies.map((accuracy, annotator) => ({
      item,
      annotator,
      label: random.uniform(1000 + 10 * item + annotator) < accuracy ? label : 1 - label,
    })),
  )

  it('finds how often each annotator is right, and more true labels than the majority', () => {
    const fit = dawidSkene(votes, { items: truth.length, annotators: 5, classes: 2 })
    for (const [annotator, accuracy] of accuracies.entries())
      expect(Math.abs(accuracyOf(fit, annotator) - accuracy)).toBeLessThan(0.06)
    const named = votes.map(({ item, annotator, label }) => ({
      item: `${item}`,
      annotator: `${annotator}`,
      label: `${label}`,
    }))
    const right = (method: 'majority' | 'dawid-skene') =>
      labelConsensus(named, method).items.filter(({ item, label }) => label === `${truth[Number(item)]}`).length
    expect(right('dawid-skene')).toBeGreaterThan(right('majority') + 15)
  })

  it('has probabilities that add up to 1 and a likelihood that more steps do not lower', () => {
    const { posterior, prior, confusion } = dawidSkene(votes.slice(0, 50), { items: 10, annotators: 5, classes: 2 })
    for (const row of [...posterior, prior, ...confusion.flat()])
      expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 10)
  })
})

/** Rankings of one task by several annotators. */
const tasks = fc.array(
  fc.record({
    prompt: fc.oneof(
      fc.string(),
      fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 3 }).map((texts) =>
        [...texts, ...(texts.length % 2 ? [] : ['?'])].map((content, i) => ({
          role: i % 2 ? 'assistant' : 'user',
          content,
        })),
      ),
    ),
    responses: fc.uniqueArray(fc.string(), { minLength: 2, maxLength: 4 }),
    votes: fc.array(fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 4 },
)
type Tasks = typeof tasks extends fc.Arbitrary<infer T> ? T : never

/** @param ranksOf makes ranks of numbers */
const rowsOf = (given: Tasks, ranksOf: (numbers: number[]) => Ranks) =>
  given.flatMap(({ prompt, responses, votes }, task) =>
    votes.map((numbers, annotator) => ({
      id: `t${task}`,
      prompt: typeof prompt === 'string' ? `${task} ${prompt}` : [{ role: 'system', content: `${task}` }, ...prompt],
      responses,
      ranks: ranksOf(numbers.slice(0, responses.length)),
      annotator: `a${annotator}`,
    })),
  )

/** With ties, 1 for the least. */
const tied = (numbers: number[]): Ranks => numbers.map((x) => 1 + numbers.filter((other) => other < x).length)
/** All different; the highest number may have no rank. */
const strict = (numbers: number[]): Ranks => {
  const ranks = numbers.map((x, i) => 1 + numbers.filter((other, j) => other < x || (other === x && j < i)).length)
  return ranks.map((rank) => (rank === ranks.length && numbers[0] === 3 ? null : rank))
}

const roundTrip = async (rows: readonly object[], to: ExportTarget & Source) => {
  const output = newPath('.json')
  const report = await exportVotes([fileOf(rows)], to, output)
  expect([report.dropped, report.changed]).toEqual([{}, {}])
  const { rankings, dropped } = await importVotes([output], to)
  expect(dropped).toEqual({})
  return rankings.map(({ prompt, responses, ranks, vote }) => ({
    id: vote?.task,
    prompt,
    responses,
    ranks,
    annotator: vote?.annotator,
  }))
}

describe('rankings written for a tool and read again are the same', () => {
  it('Label Studio, without ties', async () => {
    await fc.assert(
      fc.asyncProperty(tasks, async (given) => {
        const rows = rowsOf(given, strict)
        expect(await roundTrip(rows, 'label-studio')).toEqual(rows)
      }),
      { numRuns: 15 },
    )
  })

  it('Argilla, all ranked', async () => {
    await fc.assert(
      fc.asyncProperty(tasks, async (given) => {
        const rows = rowsOf(given, tied)
        expect(await roundTrip(rows, 'argilla')).toEqual(rows)
      }),
      { numRuns: 15 },
    )
  })

  it('their pairs for TRL and LLaMA-Factory are those of the ranks', async () => {
    await fc.assert(
      fc.asyncProperty(tasks, fc.constantFrom('trl', 'llama-factory'), async (given, to) => {
        const rows = rowsOf(given, tied)
        const pairs = rows.flatMap(({ responses, ranks }) =>
          comparisonsOf(ranks)
            .filter(({ verdict }) => verdict !== 1)
            .map(({ i, j, verdict }) => (verdict ? [responses[j], responses[i]] : [responses[i], responses[j]])),
        )
        const output = newPath('.jsonl')
        if (!pairs.length) {
          await expect(exportVotes([fileOf(rows)], to, output)).rejects.toThrow('no row is left')
          return
        }
        const { written } = await exportVotes([fileOf(rows)], to, output)
        expect(written).toBe(pairs.length)
        // A blank response is not read as a good one
        const learnt = pairs.filter(([chosen]) => chosen.trim())
        if (!learnt.length) {
          await expect(openRows(output, { as: 'ranking' })).rejects.toThrow('empty-chosen')
          return
        }
        const read = await openRows(output, { as: 'ranking' })
        const found = []
        for (let i = 0; i < read.length; i++) found.push((await read.row(i)).responses)
        await read.close()
        expect(found).toEqual(learnt)
      }),
      { numRuns: 15 },
    )
  })
})

describe('an export', () => {
  it('counts what a tool cannot hold', async () => {
    const rows = [
      { prompt: 'p', responses: ['a', 'b', 'c'], ranks: [1, 1, 2], annotator: 'x' },
      { prompt: 'p', responses: ['a', 'b', 'c'], ranks: [1, 2, null], annotator: 'y' },
      { prompt: 'q', responses: [[1], [2]], ranks: [1, 2], annotator: 'y' },
    ]
    const file = fileOf(rows)
    expect(await exportVotes([file], 'label-studio', newPath('.json'))).toMatchObject({
      written: 1,
      dropped: { 'vote-with-tie': 1, 'token-ids': 1 },
    })
    expect(await exportVotes([file], 'argilla', newPath('.jsonl'))).toMatchObject({
      written: 1,
      dropped: { 'token-ids': 1 },
      changed: { 'unranked-as-last': 1 },
    })
    expect(await exportVotes([file], 'trl', newPath('.jsonl'))).toMatchObject({
      written: 5,
      dropped: { tie: 1, 'token-ids': 1 },
    })
  })

  it('of unpaired rows and of conversations has the forms of LLaMA-Factory', async () => {
    const output = newPath('.json')
    const rows = [{ prompt: 'p', completion: 'c', label: true }]
    const { dataset_info } = await exportVotes([fileOf(rows)], 'llama-factory', output)
    expect(JSON.parse(readFileSync(output, 'utf8'))).toEqual([
      {
        conversations: [
          { from: 'human', value: 'p' },
          { from: 'gpt', value: 'c' },
        ],
        kto_tag: true,
      },
    ])
    expect(Object.values(dataset_info!)).toMatchObject([{ formatting: 'sharegpt', columns: { kto_tag: 'kto_tag' } }])
    const call = { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: {} } }] }
    const chats = [
      {
        messages: [
          { role: 'user', content: 'u' },
          { role: 'assistant', content: 'a' },
        ],
      },
      { messages: [{ role: 'user', content: 'u' }, call] },
      { messages: [{ role: 'assistant', content: 'a' }] },
    ]
    expect(await exportVotes([fileOf(chats)], 'llama-factory', newPath('.json'))).toMatchObject({
      written: 1,
      dropped: { 'tool-turns': 1, 'turns-out-of-order': 1 },
    })
  })

  it('what a row says to the chat template goes to TRL, and is counted where it is left out', async () => {
    const user = [{ role: 'user', content: 'u' }]
    const tools = [{ type: 'function', function: { name: 'f' } }]
    const file = fileOf([{ prompt: user, completion: 'a', tools, chat_template_kwargs: { thinking: true } }])
    const output = newPath('.jsonl')
    expect((await exportVotes([file], 'trl', output)).changed).toEqual({})
    expect(JSON.parse(readFileSync(output, 'utf8'))).toMatchObject({ tools, chat_template_kwargs: { thinking: true } })
    expect((await exportVotes([file], 'llama-factory', newPath('.json'))).changed).toEqual({
      'template-arguments-left-out': 1,
    })
  })

  it.each([
    ['label-studio', [{ prompt: 'p', completion: 'c' }], 'takes responses to compare'],
    ['trl', [{ text: 't' }, { messages: [{ role: 'user', content: 'u' }] }], 'export each by itself'],
    ['trl', [{ prompt: 'p', responses: ['a', 'b'], ranks: [1, 1] }], 'no row is left (tie: 1)'],
  ] as const)('to %s of what has no place there is refused', async (to, rows, message) => {
    const output = newPath(to === 'trl' ? '.jsonl' : '.json')
    await expect(exportVotes([fileOf(rows)], to, output)).rejects.toThrow(message)
  })
})

describe('an import', () => {
  it('of MT-bench puts texts and judgements together', async () => {
    const turns = ['q1', 'q2']
    const rows = [
      { question_id: 1, category: 'math', turns },
      ...['m', 'k'].map((model) => ({
        question_id: 1,
        model_id: model,
        choices: [{ index: 0, turns: [`${model}1`, `${model}2`] }],
      })),
    ]
    const pair = { question_id: 1, model_1: 'm', model_2: 'k', judge: ['j', 'pair-v2'] }
    const judgements = [
      { ...pair, turn: 1, g1_winner: 'model_2', g2_winner: 'model_2' },
      { ...pair, turn: 2, g1_winner: 'model_1', g2_winner: 'model_1' },
      { ...pair, turn: 1, g1_winner: 'model_1', g2_winner: 'model_2' },
      { ...pair, turn: 1, g1_winner: 'error', g2_winner: 'model_2' },
      { ...pair, question_id: 2, turn: 1, g1_winner: 'tie', g2_winner: 'tie' },
    ]
    const { rankings, dropped } = await importVotes([fileOf(rows), fileOf(judgements)], 'mt-bench')
    expect(dropped).toEqual({ 'orders-disagree': 1, 'no-verdict': 1, 'no-question': 1 })
    const prompt = [{ role: 'user', content: 'q1' }]
    const later = (model: string) => [
      { role: 'assistant', content: `${model}1` },
      { role: 'user', content: 'q2' },
      { role: 'assistant', content: `${model}2` },
    ]
    expect(rankings).toMatchObject([
      { id: '1-1', prompt, responses: ['m1', 'k1'], ranks: [2, 1], vote: { annotator: 'j' } },
      { id: '1-2', prompt, responses: [later('m'), later('k')], ranks: [1, 2] },
    ])
  })

  it('of AlpacaEval keeps a preference between 1 and 2 as a probability', async () => {
    const row = { instruction: 'i', output_1: 'a', output_2: 'b', annotator: 'w' }
    const annotations = [1.25, 2, 1.5, 0, null].map((preference) => ({ ...row, preference }))
    const { rankings, dropped } = await importVotes([fileOf(annotations, '.json')], 'alpaca-eval')
    expect(rankings.map(({ ranks, prob }) => [ranks, prob])).toEqual([
      [[1, 2], 0.75],
      [[2, 1], undefined],
      [[1, 1], undefined],
      [[1, 1], undefined],
    ])
    expect(dropped).toEqual({ 'no-verdict': 1 })
  })

  it('of OpenAssistant leaves out replies that stand alone', async () => {
    const post = (message_id: string, parent_id: string | null, role: string, rank?: number) => ({
      message_id,
      parent_id,
      role,
      text: message_id,
      rank,
    })
    const tree = [
      post('q', null, 'prompter'),
      post('a', 'q', 'assistant', 1),
      post('b', 'q', 'assistant', 0),
      post('more', 'a', 'prompter'),
      post('alone', 'more', 'assistant'),
    ]
    const { rankings, dropped } = await importVotes([fileOf(tree)], 'oasst')
    expect(rankings).toMatchObject([{ responses: ['b', 'a'], ranks: [1, 2] }])
    expect(dropped).toEqual({ 'one-response': 1 })
  })

  it('of another kind names the flag that fits', async () => {
    const rows = [{ prompt: 'p', responses: ['a', 'b'], ranks: [1, 2] }]
    await expect(importVotes([fileOf(rows)], 'argilla')).rejects.toThrow(
      'format "ranking", which are not of --from argilla; try --from rows',
    )
  })
})
