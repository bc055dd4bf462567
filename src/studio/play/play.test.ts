import { mkdir, symlink, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { answered, type FakeEndpoint, fakeEndpoint, type Reply, send } from '../../../test/support/fakeEndpoint.ts'
import { openPlayStudio, textOf } from '../../../test/support/studioPlay.ts'
import { promptsFile } from './prompts.node.ts'

let play: Awaited<ReturnType<typeof openPlayStudio>>
let endpoint: FakeEndpoint
const secret = 'sk-of-the-playground-test'
beforeAll(async () => {
  process.env.PLAY_TEST_KEY = secret
  play = await openPlayStudio()
  endpoint = await fakeEndpoint(() => {})
})
afterEach(() => {
  expect(play.errors).toEqual([])
})
afterAll(async () => {
  delete process.env.PLAY_TEST_KEY
  await endpoint.close()
  await play.close()
})

const chunk = (text: string, more: object = {}) => ({ choices: [{ index: 0, delta: { content: text }, ...more }] })
const logprobs = (token: string, logprob: number, ...tops: [string, number][]) => ({
  logprobs: {
    content: [
      {
        ...{ token, logprob, bytes: [...Buffer.from(token)] },
        top_logprobs: tops.map(([text, logp]) => ({ token: text, logprob: logp, bytes: null })),
      },
    ],
  },
})
const stream = (response: ServerResponse, ...chunks: object[]) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const each of chunks) response.write(`data: ${JSON.stringify(each)}\n\n`)
  return response
}
const say = [{ role: 'user', content: 'Hi' }]

/** Opens the stub under an address of its own. */
let opened = 0
const open = async (reply: Reply, keyEnv?: string) => {
  endpoint.reply = reply
  const model = `${endpoint.url}#stub-${opened++}`
  await play.ask('POST', '/play/open', { model, keyEnv })
  return model
}

describe('a turn with models on a server', () => {
  it('streams the text of each lane with its tokens, alternatives and where they begin', async () => {
    const model = await open((_, response) => {
      stream(
        response,
        chunk('Hé', logprobs('Hé', -0.1, ['Hé', -0.1], ['No', -2])),
        chunk('llo', logprobs('llo', -0.5)),
        chunk('', { finish_reason: 'length' }),
        { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } },
      ).end('data: [DONE]\n\n')
    })
    const lanes = [0, 1].map((lane) => ({ lane, model, messages: say }))
    const events = await play.turn({ lanes })
    for (const lane of [0, 1]) {
      expect(textOf(events, lane)).toBe('Héllo')
      const own = events.filter((event) => event.lane === lane)
      expect(own.flatMap(({ tokens = [] }) => tokens)).toEqual([
        {
          at: 0,
          text: 'Hé',
          logp: -0.1,
          tops: [
            { text: 'Hé', logp: -0.1 },
            { text: 'No', logp: -2 },
          ],
        },
        { at: 2, text: 'llo', logp: -0.5, tops: [] },
      ])
      expect(own.at(-1)).toEqual({ lane, end: { finish: 'length', promptTokens: 3, completionTokens: 2 } })
    }
    const [{ body }] = endpoint.asked.slice(-1)
    expect(body).toMatchObject({ model: model.split('#')[1], messages: say, seed: 3, max_tokens: 8, logprobs: true })
    // Hosted servers refuse what they do not know
    expect(Object.keys(body)).not.toContain('top_k')
  })

  it('goes on from a prefix: of a chat by its last message, of a text by the text', async () => {
    const model = await open((_, response) => stream(response, chunk(' on')).end('data: [DONE]\n\n'))
    await play.turn({ lanes: [{ lane: 0, model, messages: say, prefix: 'I go' }] })
    expect(endpoint.asked.at(-1)!.body).toMatchObject({
      messages: [...say, { role: 'assistant', content: 'I go' }],
      continue_final_message: true,
      add_generation_prompt: false,
    })
    endpoint.reply = (_, response) =>
      stream(response, { choices: [{ index: 0, text: ' on', finish_reason: 'stop' }] }).end('data: [DONE]\n\n')
    const events = await play.turn({ lanes: [{ lane: 0, model, prompt: 'Once', prefix: ' I go' }] })
    expect(textOf(events)).toBe(' on')
    const { path, body } = endpoint.asked.at(-1)!
    expect([path, body.prompt]).toEqual(['/v1/completions', 'Once I go'])
  })

  it('does without probabilities where the server refuses to be asked for them', async () => {
    const model = await open(({ body }, response) =>
      body.logprobs
        ? send(response, { error: { message: 'logprobs are not supported' } }, 400)
        : stream(response, chunk('plain')).end('data: [DONE]\n\n'),
    )
    const events = await play.turn({ lanes: [{ lane: 0, model, messages: say }] })
    expect([textOf(events), events.at(-1)?.end?.finish]).toEqual(['plain', 'stop'])
  })

  it('stops one lane and leaves the other, and ends what the server was doing', async () => {
    const left: string[] = []
    const model = await open(({ body }, response) => {
      const said = (body.messages as { content: string }[])[0].content
      stream(response, chunk(said))
      response.on('close', () => left.push(said))
      if (said === 'quick') setTimeout(() => response.end('data: [DONE]\n\n'), 150)
    })
    const lanes = ['endless', 'quick'].map((content, lane) => ({ lane, model, messages: [{ role: 'user', content }] }))
    let asked = false
    const events = await play.turn({ turn: 'stopped', lanes }, ({ lane, text }) => {
      if (asked || lane !== 0 || !text) return
      asked = true
      void play.send('POST', '/play/stop', { turn: 'stopped', lane: 0 })
    })
    const ends = new Map(events.flatMap(({ lane, end }) => (end ? [[lane, end.finish] as const] : [])))
    expect([ends.get(0), ends.get(1)]).toEqual(['stopped', 'stop'])
    await expect.poll(() => left).toContain('endless')
  })

  it('tells what the server says, without the key', async () => {
    const model = await open(
      (_, response) => send(response, { error: { message: `no ${secret} here` } }, 401),
      'PLAY_TEST_KEY',
    )
    const [event] = await play.turn({ lanes: [{ lane: 0, model, messages: say }] })
    expect(endpoint.asked.at(-1)!.headers.authorization).toBe(`Bearer ${secret}`)
    expect(event.error).toContain('no *** here')
    const broken = await open((_, response) => {
      stream(response, chunk('so far'), { error: { message: 'out of memory' } }).end()
    })
    const events = await play.turn({ lanes: [{ lane: 0, model: broken, messages: say }] })
    expect([textOf(events), events.at(-1)?.error]).toEqual(['so far', expect.stringContaining('out of memory')])
  })

  it('asks no address but those that were typed: none that a page names, none that a server points to', async () => {
    const before = endpoint.asked.length
    const strange = await play.turn({ lanes: [{ lane: 0, model: `${endpoint.url}#never-opened`, messages: say }] })
    expect(strange).toEqual([{ lane: 0, error: expect.stringContaining('is not open') }])
    expect(endpoint.asked.length).toBe(before)
    const elsewhere = await fakeEndpoint((_, response) => send(response, answered('stolen')))
    const model = await open((_, response) => response.writeHead(307, { location: `${elsewhere.url}/x` }).end())
    const [event] = await play.turn({ lanes: [{ lane: 0, model, messages: say }] })
    expect([event.error, elsewhere.asked]).toEqual([expect.stringContaining('cannot be reached'), []])
    await elsewhere.close()
  })

  it.each([
    [{ model: 'http://user:word@127.0.0.1/v1' }, /password/],
    [{ model: 'http://127.0.0.1/v1?key=1' }, /must end with its path/],
    [{ model: 'http://127.0.0.1/v1#m', keyEnv: 'PATH' }, /keyEnv.*KEY or TOKEN/],
    [{ model: 'http://127.0.0.1/v1#m', keyEnv: 'NO_SUCH_KEY' }, /no environment variable "NO_SUCH_KEY"/],
    [{ model: 'a\0b' }, /NUL/],
  ])('opening %j is refused', async (body, message) => {
    expect((await play.ask('POST', '/play/open', body)).error.message).toMatch(message)
  })

  it('that is malformed is refused as a whole', async () => {
    const lane = { lane: 0, model: 'x', messages: say }
    for (const lanes of [
      [],
      [lane, lane],
      [{ ...lane, lane: 4 }],
      [{ ...lane, prompt: 'both' }],
      [{ lane: 0, model: 'x' }],
    ])
      expect((await play.send('POST', '/play/turn', { turn: 't', lanes, sampling: {} })).status).toBe(400)
  })
})

it('a judge on a server grades each answer, and says why one has no grade', async () => {
  endpoint.reply = ({ body }, response) => {
    const asked = JSON.stringify(body.messages)
    send(response, answered(asked.includes('the good one') ? 'Clear. Rating: [[8]]' : 'I cannot say.'))
  }
  const scores = await play.ask('POST', '/play/score', {
    scorer: { kind: 'judge', model: `${endpoint.url}#judge` },
    prompt: say,
    answers: ['the good one', 'the other'],
  })
  expect(scores).toEqual([
    { value: 8, reason: expect.stringContaining('Clear') },
    { error: expect.stringContaining('no-verdict') },
  ])
})

describe('a choice', () => {
  const answers = [
    { text: 'one', model: 'm/a' },
    { text: 'two', model: 'm/b' },
    { text: 'three', model: 'm/c' },
  ]
  const choose = (more: object) =>
    play.ask('POST', '/play/preference', {
      ...{ requestId: crypto.randomUUID(), prompt: say, answers, shown: [2, 0, 1], better: 1, seconds: 2 },
      ...more,
    })

  it('becomes a task and a vote of the project playground; another choice changes the vote', async () => {
    const requestId = crypto.randomUUID()
    const saved = await choose({ requestId })
    expect(await choose({ requestId })).toEqual(saved)
    const task = await play.ask('GET', `/tasks/${saved.task}?adjudicate=1`)
    expect(task).toMatchObject({
      prompt: say,
      responses: answers.map(({ text, model }) => ({ text, source: model })),
      votes: [{ value: { ranks: [2, 1, 2] }, shown: [2, 0, 1], seconds: 2 }],
    })
    // The same answers, in other lanes
    expect(await choose({ answers: answers.toReversed(), better: 'tie' })).toEqual(saved)
    await choose({ better: 'bad' })
    const history = await play.ask('GET', `/tasks/${saved.task}/history`)
    expect(history.map(({ value }: { value: object }) => value)).toEqual([
      { ranks: [2, 1, 2] },
      { ranks: [1, 1, 1] },
      { bothBad: true },
    ])
    const projects = await play.ask('GET', '/projects')
    expect(projects).toMatchObject([{ name: 'playground', mode: 'rank', progress: { tasks: 1, votes: 1 } }])
  })

  it('that names no answer is refused', async () => {
    for (const more of [{ better: 3 }, { shown: [0, 1] }, { shown: [0, 0, 1] }, { answers: answers.slice(0, 1) }])
      expect((await choose(more)).error.message).toMatch(/better|shown|answers/)
  })
})

it('prompts are rows of a file below the root; lines of others stay as they are', async () => {
  const path = join(play.root, promptsFile)
  await writeFile(path, '{"prompt":"by hand"}\n{"strange":1}\n')
  const saved = await play.ask('POST', '/play/prompts', { prompt: '<b>Hi</b>\n', system: 'Be brief.' })
  expect(await play.ask('GET', '/play/prompts')).toMatchObject([
    { id: 'line-1', prompt: 'by hand' },
    { id: saved.id, prompt: '<b>Hi</b>\n', system: 'Be brief.' },
  ])
  expect((await play.send('DELETE', `/play/prompts/${saved.id}`)).status).toBe(204)
  expect((await play.send('DELETE', '/play/prompts/line-1')).status).toBe(204)
  expect((await import('node:fs')).readFileSync(path, 'utf8')).toBe('{"strange":1}\n')
})

it('models below the root are listed with the checkpoints of runs; links lead nowhere, but runs name what they began from', async () => {
  const folders = [
    ['runs/a', { 'run.json': '{"method":"sft","config":{"model":"hub/base"}}' }],
    ['runs/a/adapter', {}],
    ['runs/a/checkpoints/step-2', {}],
    ['runs/a/checkpoints/step-10', {}],
    ['runs/a/checkpoints/step-12.tmp', {}],
    ['runs/r', { 'run.json': '{"method":"reward"}' }],
    ['runs/r/model', {}],
    ['runs/r/checkpoints/step-1', {}],
    ["models/a 'b' --host $(x)", { 'config.json': '{"architectures":["X"]}', 'model.safetensors': '' }],
    ['models/scores', { 'config.json': '{"architectures":["XForSequenceClassification"]}', 'model.safetensors': '' }],
    ['models/broken', { 'config.json': '{', 'model.safetensors': '' }],
    ['models/peft', { 'adapter_config.json': '{}' }],
    ['work/fixtures/m', { 'config.json': '{}', 'model.safetensors': '' }],
    ['.hidden/m', { 'config.json': '{}', 'model.safetensors': '' }],
  ] as const
  for (const [folder, files] of folders) {
    await mkdir(join(play.root, folder), { recursive: true })
    for (const [name, text] of Object.entries(files)) await writeFile(join(play.root, folder, name), text)
  }
  await symlink('/', join(play.root, 'away'))
  const { models, cut } = await play.ask('GET', '/play/models')
  expect(cut).toBe(false)
  expect(models).toEqual([
    { model: "models/a 'b' --host $(x)", kind: 'model' },
    { model: 'models/broken', kind: 'model' },
    { model: 'models/peft', kind: 'adapter' },
    { model: 'models/scores', kind: 'reward' },
    { model: 'runs/a', kind: 'run', method: 'sft', run: 'runs/a' },
    { model: 'runs/a/checkpoints/step-10', kind: 'checkpoint', step: 10, method: 'sft', run: 'runs/a' },
    { model: 'runs/a/checkpoints/step-2', kind: 'checkpoint', step: 2, method: 'sft', run: 'runs/a' },
    { model: 'runs/r', kind: 'reward', method: 'reward', run: 'runs/r' },
    { model: 'hub/base', kind: 'model' },
  ])
})

it('annotators and adjudicators may do nothing here', async () => {
  const routes = play.studio.routes.filter(({ method, path }) => path.startsWith('/api/play/') && method !== 'ALL')
  expect(routes.length).toBeGreaterThan(9)
  for (const role of ['annotate', 'adjudicate']) {
    const made = await play.ask('POST', '/annotators', { requestId: crypto.randomUUID(), name: role, role })
    const token = new URL(made.link).searchParams.get('token')!
    for (const { method, path } of routes) {
      const { status } = await play.send(method, path.slice('/api'.length), method === 'POST' ? {} : undefined, token)
      expect(status, `${role}: ${method} ${path}`).toBe(403)
    }
  }
})
