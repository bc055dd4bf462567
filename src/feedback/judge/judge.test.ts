/** A judge: parsing of verdicts, hostile answers, both orders, modes, errors that are counted, rows of all formats. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { collect } from '../../../test/support/collect.ts'
import { answered, type FakeEndpoint, fakeEndpoint, type Reply, send } from '../../../test/support/fakeEndpoint.ts'
import { fixture } from '../../../test/support/golden.ts'
import { hostileAnswers } from '../../../test/support/hostileAnswers.ts'
import { biasedJudge, type JudgeStub, judgeStub, qualityByHash } from '../../../test/support/judgeStub.ts'
import { type JudgeCase, type Judgement, type JudgeSettings, openJudge } from './judge.ts'
import { builtInPrompt, parseTemplate, promptNames, renderPrompt } from './prompt.ts'
import { readCases } from './rows.ts'
import { type JudgeEndEvent, type JudgeEvent, judgeRows } from './run.ts'
import { readGrade, readStructuredVerdict, readVerdict } from './verdict.ts'

let root: string
let stub: JudgeStub | undefined
let server: FakeEndpoint | undefined
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'attune-judge-'))
  vi.stubEnv('ATTUNE_CACHE', join(root, 'cache'))
})
afterEach(async () => {
  await stub?.close()
  await server?.close()
  stub = server = undefined
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

const write = (name: string, rows: readonly object[]): string => {
  const path = join(root, name)
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}
const fast = { concurrency: 16, retries: 0 }
const judgedBy = async (url: string, cases: readonly JudgeCase[], settings: Partial<JudgeSettings> = {}) => {
  const judge = await openJudge(`${url}#m`, { mode: 'pairwise', ...settings, ...fast })
  return collect(judge.judge(cases))
}
const pair = (id: number, a: string, b: string): JudgeCase => ({ id, question: `Question ${id}?`, answers: [a, b] })
const endOf = (events: readonly JudgeEvent[]) => events.find(({ event }) => event === 'end') as JudgeEndEvent

describe('a verdict', () => {
  it.each<[string, string | undefined]>([
    ['So [[A]]', 'A'],
    ['[[A]] at first, but after all [[B]].', 'B'],
    ['Equal: [[C]]', 'tie'],
    ['<think>[[A]]</think>I say [[B]]', 'B'],
    ['<think>[[A]] or', undefined],
    ['<think>[[A]]</think>None', undefined],
    ['A is better', undefined],
    ['[A]', undefined],
    ['[[a]]', undefined],
    ['[[D]]', undefined],
    ['[[А]]', undefined],
    ['[ [A] ]', undefined],
    ['', undefined],
  ])('in %j is %s', (reply, verdict) => {
    expect(readVerdict(reply)).toBe(verdict)
  })

  it.each<[string, number | undefined]>([
    ['Rating: [[7]]', 7],
    ['[[3]], no, [[8.5]]', 8.5],
    ['[[10]]', 10],
    ['[[0]]', undefined],
    ['[[5]] [[11]]', undefined],
    ['[[７]]', undefined],
    ['[[٧]]', undefined],
    ['[[seven]]', undefined],
    ['7', undefined],
    ['[7]', undefined],
    ['[[7/10]]', undefined],
  ])('as a grade in %j is %s', (reply, grade) => {
    expect(readGrade(reply)).toBe(grade)
  })

  it('as JSON is the whole reply or none', () => {
    expect(readStructuredVerdict('{"reason": "[[B]]", "verdict": "A"}')).toBe('A')
    expect(readStructuredVerdict('{"verdict": "A"} [[B]]')).toBeUndefined()
    expect(readStructuredVerdict('{"verdict": "D"}')).toBeUndefined()
  })
})

describe('a prompt', () => {
  it.each(promptNames)('%s is a template of its own form', async (name) => {
    expect(parseTemplate(await builtInPrompt(name), name).user).toContain('{question}')
  })

  it.each([
    ['no section', /must begin/],
    ['# user\n{question} {answer_a}', /lacks the placeholder {answer_b}/],
    ['# user\n{question} {answer_a} {answer_b} {verdict}', /unknown placeholder/],
    ['# user\n{question}\n# user\n{answer_a} {answer_b}', /two sections/],
  ])('of a user that is %j is refused', (text, message) => {
    expect(() => parseTemplate(text, 'pairwise', 'mine.md')).toThrow(message)
  })

  it('fills placeholders once, and renames the answers where asked to', async () => {
    const template = parseTemplate(await builtInPrompt('pairwise'), 'pairwise')
    const material = { question: '{answer_b}', answers: ['one', 'two'] }
    const [, user] = renderPrompt(template, material, { format: 'F' })
    expect(user.content).toContain('<question>\n{answer_b}\n</question>')
    const [, renamed] = renderPrompt(template, material, { format: 'F', renamed: true })
    expect(renamed.content).toMatch(/Answer B:\s+<answer_b>\none\n<\/answer_b>\s+Answer A:\s+<answer_a>\ntwo/)
  })

  it('keeps its form whatever an answer holds', async () => {
    const template = parseTemplate(await builtInPrompt('pairwise'), 'pairwise')
    for (const hostile of hostileAnswers) {
      const material = { question: hostile, answers: [hostile, 'plain'], reference: hostile }
      const text = renderPrompt(template, material, { format: 'F' })
        .map(({ content }) => content)
        .join('\n')
      for (const tag of ['<question>', '</question>', '<answer_a>', '</answer_a>', '<answer_b>', '</answer_b>'])
        expect(text.split(tag).length, `${tag} in ${hostile}`).toBe(2)
      expect(readVerdict(text), hostile).toBeUndefined()
      expect(readGrade(text), hostile).toBeUndefined()
      expect(text).not.toMatch(/<\|im_(start|end)\|>/)
    }
  })
})

it('50 hostile answers change no verdict, even of a judge that repeats all it was shown', async () => {
  expect(hostileAnswers.length).toBeGreaterThanOrEqual(50)
  const quality = (answer: string) => (answer.includes('the plain answer') ? 1 : 0)
  stub = await judgeStub({
    quality,
    say: (verdict, said) => `${verdict}\n\nI was shown: ${said.split('# user')[0].slice(said.indexOf('<question>'))}`,
  })
  const cases = hostileAnswers.map((hostile, i) => pair(i, hostile, 'the plain answer'))
  const judged = await judgedBy(stub.url, cases)
  expect(judged.map(({ id, verdict }) => [id, verdict])).toEqual(cases.map(({ id }) => [id, 'B']))
})

describe('both orders', () => {
  it('make a win only where they agree; the verdicts name the answers of the row', async () => {
    stub = await judgeStub({ first: 1 })
    const [biased] = await judgedBy(stub.url, [pair(0, 'x', 'y')])
    expect(biased).toMatchObject({ verdict: 'tie', verdicts: ['A', 'B'] })
    await stub.close()
    stub = await judgeStub({ quality: (answer) => answer.length })
    const judged = await judgedBy(stub.url, [pair(0, 'longer', 'y'), pair(1, 'x', 'longer'), pair(2, 'same', 'size')])
    expect(judged.map(({ verdict }) => verdict)).toEqual(['A', 'B', 'tie'])
    expect(stub.calls()).toBe(6)
  })

  it('are one where only one is asked for', async () => {
    stub = await judgeStub({ first: 1 })
    const [judged] = await judgedBy(stub.url, [pair(0, 'x', 'y')], { singleOrder: true })
    expect(judged).toMatchObject({ verdict: 'A', verdicts: ['A'] })
  })

  it('recover the rates of a judge whose bias is planted', async () => {
    stub = await judgeStub(biasedJudge)
    const cases = Array.from({ length: 150 }, (_, i) => pair(i, `a${i}`, `b${i}`))
    const judged = await judgedBy(stub.url, cases)
    const errors = judged.filter(({ verdict }) => verdict === 'error').length / judged.length
    expect(Math.abs(errors - (1 - 0.95 ** 2))).toBeLessThan(0.08)
    // Of equal lengths: 30 % for the first place, the rest for the better one
    const kept = judged.filter(({ verdict }) => verdict !== 'error')
    const places = kept.map(({ verdicts: [one, two] }) => (one === two ? 'same' : one === 'A' ? 'first' : 'second'))
    const share = (place: string) => places.filter((each) => each === place).length / places.length
    // Both say first: one of them by bias, the other by quality or bias
    expect(share('second')).toBe(0)
    expect(Math.abs(share('first') - 0.3)).toBeLessThan(0.12)
  })
})

describe('modes', () => {
  it('grade one answer, and compare the grades of two', async () => {
    stub = await judgeStub({ quality: (answer) => (answer === 'good' ? 0.85 : 0.2) })
    const judged = await judgedBy(stub.url, [pair(0, 'good', 'bad'), { id: 1, question: 'q', answers: ['good'] }], {
      mode: 'single',
    })
    expect(judged.map(({ verdict, scores }) => [verdict, scores])).toEqual([
      ['A', [9, 3]],
      [null, [9]],
    ])
  })

  it('show the reference, and count rows without one', async () => {
    stub = await judgeStub()
    const judged = await judgedBy(stub.url, [{ ...pair(0, 'x', 'y'), reference: 'It is 4.' }, pair(1, 'x', 'y')], {
      mode: 'reference',
    })
    expect(JSON.stringify(stub.asked[0].body)).toContain('It is 4.')
    expect(judged[0].verdict).not.toBe('error')
    expect(judged[1]).toMatchObject({ verdict: 'error', error: 'no-reference' })
    expect(stub.calls()).toBe(2)
  })

  it('read options from probabilities', async () => {
    stub = await judgeStub({ quality: qualityByHash })
    const [judged] = await judgedBy(stub.url, [pair(0, 'x', 'y')], { mode: 'options' })
    const better = qualityByHash('x') > qualityByHash('y')
    expect(judged.verdict).toBe(better ? 'A' : 'B')
    for (const score of judged.scores) expect(score).toBeCloseTo(better ? 8 / 9 : 1 / 9, 6)
  })

  it('ask for JSON by a schema where told to', async () => {
    stub = await judgeStub({ quality: (answer) => answer.length })
    const [judged] = await judgedBy(stub.url, [pair(0, 'longer', 'y')], { structured: true })
    expect(judged.verdict).toBe('A')
    expect(stub.asked[0].body.response_format).toMatchObject({ type: 'json_schema' })
    expect(JSON.stringify(stub.asked[0].body.messages)).not.toContain('[[A]]')
  })

  it('end at once where the server has no such thing', async () => {
    server = await fakeEndpoint((_, response) =>
      send(response, { error: { message: 'response_format: is not supported by this server' } }, 400),
    )
    const cases = Array.from({ length: 500 }, (_, i) => pair(i, 'x', 'y'))
    const asked = judgedBy(server.url, cases, { structured: true })
    await expect(asked).rejects.toMatchObject({ code: 'no-structured', where: { flag: '--structured' } })
    expect(server.asked.length).toBeLessThan(100)
  })
})

it('a local model judges by options without writing, and what it writes without a verdict is an error', async () => {
  const prompt = join(root, 'short.md')
  writeFileSync(prompt, '# user\n{question} A: {answer_a} B: {answer_b} The better one is')
  const settings = { promptFile: prompt, threads: 1, maxNewTokens: 4 }
  const judged = async (mode: 'options' | 'pairwise') => {
    const judge = await openJudge(fixture('models/stories260K'), { mode, ...settings })
    try {
      const [judgement] = await collect(judge.judge([pair(0, 'Tom', 'Lily')]))
      return { judgement, spent: judge.model.spent }
    } finally {
      await judge.close()
    }
  }
  const options = await judged('options')
  expect(options.judgement.scores).toHaveLength(2)
  for (const score of options.judgement.scores) expect(score > 0 && score < 1).toBe(true)
  expect(options.spent.completionTokens).toBe(0)
  expect((await judged('pairwise')).judgement).toMatchObject({ verdict: 'error', error: 'truncated' })
})

describe('a reply', () => {
  const withBody = (body: object) => answered('x', body)
  const cut = withBody({ choices: [{ message: { content: 'So [[A]]' }, finish_reason: 'length' }] })
  const filtered = withBody({ choices: [{ message: { content: '' }, finish_reason: 'content_filter' }] })
  it.each<[string, string, Reply]>([
    ['is cut', 'truncated', (_, response) => send(response, cut)],
    ['has two brackets of another kind', 'no-verdict', (_, response) => send(response, answered('[[yes]] [[no]]'))],
    ['is empty', 'bad-answer', (_, response) => send(response, filtered)],
    [
      'is an error with status 200',
      'bad-answer',
      (_, response) => send(response, { error: { message: 'overloaded' } }),
    ],
    ['is a stream of garbage', 'bad-answer', (_, response) => send(response, 'data: {"cho\n\ndata: [DONE]')],
    ['is refused', 'endpoint-refused', (_, response) => send(response, { error: { message: 'too long' } }, 400)],
    [
      'breaks off',
      'endpoint',
      (_, response) => response.writeHead(200).write('{"cho') && setTimeout(() => response.destroy(), 150),
    ],
    ['never comes', 'endpoint', () => {}],
  ])('that %s is an error of its row: %s', async (_, code, reply) => {
    server = await fakeEndpoint((asked, response, count) => {
      const isBad = JSON.stringify(asked.body).includes('Question 1?')
      // The others are served while this one fails
      if (isBad) reply(asked, response, count)
      else setTimeout(() => send(response, answered('[[C]]')), code === 'endpoint' ? 50 : 0)
    })
    const judge = await openJudge(`${server.url}#m`, { mode: 'pairwise', ...fast, timeout: 0.4 })
    const judged = await collect(judge.judge([0, 1, 2].map((i) => pair(i, 'x', 'y'))))
    expect(judged.map(({ verdict }) => verdict)).toEqual(['tie', 'error', 'tie'])
    expect(judged[1].error).toBe(code)
    expect(judged[1].reason).toMatch(new RegExp(`^${code}: .`))
    expect(judged[1].reason).not.toMatch(/row \d|run again/)
  })

  it.each<[string, Record<string, string>]>([
    ['with Retry-After', { 'retry-after': '0.05' }],
    ['without Retry-After', {}],
  ])('429 %s is asked for again', async (_, headers) => {
    server = await fakeEndpoint((_, response, count) =>
      count === 1 ? send(response, { error: { message: 'busy' } }, 429, headers) : send(response, answered('[[A]]')),
    )
    const [judged] = await judgedBy(server.url, [pair(0, 'x', 'y')])
    expect(judged.verdict).toBe('tie')
    expect(server.asked.length).toBe(3)
  })

  it('of a server that serves nobody ends the run', async () => {
    server = await fakeEndpoint((_, response) => send(response, 'down', 500))
    await expect(judgedBy(server.url, [pair(0, 'x', 'y')])).rejects.toMatchObject({ code: 'endpoint', exitCode: 1 })
  })
})

describe('rows', () => {
  const casesOf = (data: string | string[], more = {}) => collect(readCases({ data: [data].flat(), ...more }))

  it('of preferences keep their ids, and what cannot be judged is counted', async () => {
    const path = write('pairs.jsonl', [
      { id: 'p1', prompt: 'q', chosen: 'a', rejected: 'b' },
      { id: 'p2', prompt: 'q', chosen: 'a', rejected: null },
      { id: 'p3', prompt: 'q', chosen: 'a' },
      { id: 'p4', prompt: 'q', chosen: 'a', rejected: ' ' },
      {
        prompt: [
          { role: 'user', content: 'x' },
          { role: 'assistant', content: 'y' },
          { role: 'user', content: 'z' },
        ],
        chosen: 'a',
        rejected: 'bb',
      },
    ])
    const found = await casesOf(path)
    expect(found.map(({ id, trouble }) => [id, trouble?.code])).toEqual([
      ['p1', undefined],
      ['p2', 'no-second-answer'],
      ['p3', 'no-second-answer'],
      ['p4', 'no-second-answer'],
      [4, undefined],
    ])
    expect(found[4].question).toBe('User: x\n\nAssistant: y\n\nUser: z')
    expect(found[4].about).toMatchObject({ len_1: 1, len_2: 2 })
  })

  it('of rankings give each pair', async () => {
    const path = write('rankings.jsonl', [{ id: 7, prompt: 'q', responses: ['a', 'b', 'c'], ranks: [1, 2, 3] }])
    expect((await casesOf(path)).map(({ id, answers }) => [id, ...answers])).toEqual([
      ['7:1-2', 'a', 'b'],
      ['7:1-3', 'a', 'c'],
      ['7:2-3', 'b', 'c'],
    ])
    expect((await casesOf(path, { whole: true }))[0].answers).toEqual(['a', 'b', 'c'])
  })

  it('of HH-RLHF are conversations', async () => {
    const text = '\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:'
    const path = write('hh.jsonl', [{ chosen: `${text} So.`, rejected: `${text} No.` }])
    const [found] = await casesOf(path)
    expect(found.question).toBe('User: Hi\n\nAssistant: Yes?\n\nUser: Why?')
    expect(found.answers).toEqual([' So.', ' No.'])
  })

  it("of AlpacaEval's outputs are paired by instruction", async () => {
    const output = (generator: string, ...texts: string[]) =>
      texts.map((text, i) => ({ instruction: `do ${i}`, output: text, generator, dataset: 'd' }))
    const [one, two] = ['one.json', 'two.json'].map((name) => join(root, name))
    writeFileSync(one, JSON.stringify(output('m1', 'a', 'b')))
    writeFileSync(two, JSON.stringify(output('m2', 'c').reverse()))
    const found = await casesOf(one, { against: [two] })
    expect(found[0]).toMatchObject({
      question: 'do 0',
      answers: ['a', 'c'],
      about: { generator_1: 'm1', generator_2: 'm2' },
    })
    expect(found[1].trouble?.code).toBe('no-second-answer')
  })

  it('of MT-bench have two turns, each with what was before it', async () => {
    const questions = write('question.jsonl', [{ question_id: 81, category: 'math', turns: ['one?', 'two?'] }])
    const answer = (model_id: string, ...turns: string[]) => ({
      question_id: 81,
      model_id,
      choices: [{ index: 0, turns }],
    })
    const one = write('m1.jsonl', [answer('m1', 'a1', 'a2')])
    const two = write('m2.jsonl', [answer('m2', 'b1', 'b2')])
    const references = write('reference.jsonl', [answer('gpt-4', 'r1', 'r2')])
    const found = await casesOf(one, { against: [two], questions, references })
    expect(found.map(({ id, about }) => [id, about?.turn, about?.category])).toEqual([
      [81, 1, 'math'],
      [81, 2, 'math'],
    ])
    expect(found[0]).toMatchObject({ question: 'one?', answers: ['a1', 'b1'], reference: 'r1' })
    expect(found[1].question).toBe('Message 1:\none?\n\nMessage 2:\ntwo?')
    expect(found[1].answers[1]).toBe('Reply to message 1:\nb1\n\nReply to message 2:\nb2')
    await expect(casesOf(one)).rejects.toMatchObject({ code: 'bad-flag' })
  })
})

describe('a folder of judgements', () => {
  const rows = Array.from({ length: 60 }, (_, i) => ({ id: i, prompt: `q${i}`, chosen: `a${i}`, rejected: `b${i}` }))
  const run = async (
    url: string,
    data: string,
    output: string,
    more: { stopAfter?: number; singleOrder?: boolean } = {},
  ) => {
    const { singleOrder = false } = more
    const judge = await openJudge(`${url}#m`, { mode: 'pairwise', singleOrder, ...fast })
    const controller = new AbortController()
    const events: JudgeEvent[] = []
    let judged = 0
    for await (const event of judgeRows(
      judge,
      { mode: 'pairwise', singleOrder, data: [data], output },
      { signal: controller.signal },
    )) {
      events.push(event)
      if (event.event === 'judgement' && ++judged === more.stopAfter) controller.abort(new Error('stop'))
    }
    return events
  }
  const judgements = (events: readonly JudgeEvent[]): Judgement[] =>
    events.flatMap((each) => (each.event === 'judgement' ? [each.judgement] : []))

  it('goes on where it was stopped, asks nothing twice, and ends as one that was not stopped', async () => {
    stub = await judgeStub({ ...biasedJudge, delay: 20 })
    const data = write('sixty.jsonl', rows)
    const stopped = await run(stub.url, data, join(root, 'stopped'), { stopAfter: 20 })
    expect(stopped.at(-1)).toMatchObject({ event: 'stopped' })
    const rest = await run(stub.url, data, join(root, 'stopped'))
    expect(rest[0]).toMatchObject({ event: 'plan', n: 60, requests: 120 })
    expect((rest[0] as { kept: number }).kept).toBeGreaterThanOrEqual(32)
    expect(judgements(rest).map(({ id }) => id)).toEqual(rows.map(({ id }) => id))
    expect(endOf(rest)).toMatchObject({ n: 60 })
    // Requests that were under way when it was stopped may come again, and no others
    expect(stub.repeated()).toBeLessThanOrEqual(16)
    const page = readFileSync(join(root, 'stopped', 'report.html'), 'utf8')
    expect(page).toContain('Both orders agree')
  })

  it('of other rows or another mode is refused', async () => {
    stub = await judgeStub()
    const data = write('six.jsonl', rows.slice(0, 6))
    const output = join(root, 'refused')
    await run(stub.url, data, output)
    const other = run(stub.url, data, output, { singleOrder: true })
    await expect(other).rejects.toMatchObject({ code: 'other-settings' })
  })
})
