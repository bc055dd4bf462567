/** Tasks come in: from files below the root, uploads and rows, in every format; paths and sizes have their limits. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLabelling } from '../../../test/support/labelling.ts'
import type { ProjectSettings, TaskView } from './api.ts'
import { openUploads } from './files.node.ts'

let studio: ReturnType<typeof openLabelling>
beforeEach(() => {
  studio = openLabelling()
})
afterEach(() => studio.close())

const write = (name: string, content: string | Uint8Array) => writeFileSync(join(studio.root, name), content)
const lines = (...rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

/** Imports a file into a new project. */
const bring = async (file: string, settings: Partial<ProjectSettings> = {}, more: object = {}) => {
  const project = await studio.project(settings, 0)
  const { body, status } = await studio.owner('POST', `/projects/${project}/import`, {
    requestId: studio.requestId(),
    file,
    ...more,
  })
  const { rows } = (await studio.owner('GET', `/projects/${project}/tasks?limit=500`)).body
  const tasks: TaskView[] = []
  for (const { id } of rows) tasks.push((await studio.owner('GET', `/tasks/${id}`)).body)
  return {
    project,
    report: body,
    status,
    tasks,
    texts: tasks.map(({ responses }) => responses.map(({ text }) => text)),
  }
}

describe('a file', () => {
  it.each<[string, object[], unknown[][]]>([
    ['prompt and responses', [{ prompt: 'p', responses: ['a', 'b', 'c'] }], [['a', 'b', 'c']]],
    [
      'responses with their models',
      [{ instruction: 'p', outputs: [{ text: 'a', model: 'm' }, { text: 'b' }] }],
      [['a', 'b']],
    ],
    ['rankings', [{ prompt: 'p', responses: ['a', 'b'], ranks: [2, 1] }], [['a', 'b']]],
    ['preferences', [{ prompt: 'p', chosen: 'a', rejected: 'b' }], [['a', 'b']]],
    [
      'preferences of turns',
      [
        {
          chosen: [
            { role: 'user', content: 'p' },
            { role: 'assistant', content: 'a' },
          ],
          rejected: [
            { role: 'user', content: 'p' },
            { role: 'assistant', content: 'b' },
          ],
        },
      ],
      [['a', 'b']],
    ],
    ['best of n', [{ prompt: 'p', responses: ['a', 'b'], best: 1 }], [['a', 'b']]],
    [
      'HH-RLHF',
      [{ chosen: '\n\nHuman: p\n\nAssistant: a', rejected: '\n\nHuman: p\n\nAssistant: b' }],
      [['a', 'b'].map((text) => expect.stringContaining(text))],
    ],
    ['columns of responses', [{ prompt: 'p', response_a: 'a', response_b: 'b' }], [['a', 'b']]],
    [
      'AlpacaEval',
      [{ instruction: 'p', output_1: 'a', output_2: 'b', generator_1: 'x', generator_2: 'y' }],
      [['a', 'b']],
    ],
    ['arena battles', [{ prompt: 'p', response_a: 'a', response_b: 'b', winner: 'model_b' }], [['a', 'b']]],
    [
      'HelpSteer',
      [
        { prompt: 'p', response: 'a', helpfulness: 4 },
        { prompt: 'p', response: 'b', helpfulness: 1 },
      ],
      [['a', 'b']],
    ],
    [
      'Label Studio tasks',
      [
        {
          data: {
            prompt: 'p',
            items: [
              { id: '1', title: 't', body: 'a' },
              { id: '2', body: 'b' },
            ],
          },
        },
      ],
      [['a', 'b']],
    ],
    [
      'Label Studio pairs',
      [{ id: 1, data: { prompt: 'p', answer1: 'a', answer2: 'b' }, annotations: [] }],
      [['a', 'b']],
    ],
    [
      'Label Studio votes',
      [
        {
          id: 1,
          data: {
            prompt: 'p',
            items: [
              { id: 'x', body: 'a' },
              { id: 'y', body: 'b' },
            ],
          },
          annotations: [{ id: 1, completed_by: 3, result: [{ type: 'ranker', value: { ranker: ['y', 'x'] } }] }],
        },
      ],
      [['a', 'b']],
    ],
    [
      'Argilla records',
      [{ id: 1, fields: { prompt: 'p', 'response-1': 'a', 'response-2': 'b' }, responses: [] }],
      [['a', 'b']],
    ],
    [
      'Argilla votes',
      [
        {
          id: 1,
          fields: { prompt: 'p', one: 'a', two: 'b' },
          responses: [
            {
              status: 'submitted',
              user_id: 'u',
              values: {
                r: {
                  value: [
                    { value: 'one', rank: 1 },
                    { value: 'two', rank: 2 },
                  ],
                },
              },
            },
          ],
        },
      ],
      [['a', 'b']],
    ],
    [
      'OpenAssistant trees',
      [
        {
          message_tree_id: 't',
          prompt: {
            message_id: '1',
            text: 'p',
            role: 'prompter',
            replies: [
              { message_id: '2', text: 'a', role: 'assistant', rank: 0, replies: [] },
              { message_id: '3', text: 'b', role: 'assistant', rank: 1, replies: [] },
            ],
          },
        },
      ],
      [['a', 'b']],
    ],
    [
      'samples of attune generate',
      [
        { prompt: 'p', completion: 'a', finish_reason: 'stop' },
        { prompt: 'q', completion: 'c' },
        { prompt: 'p', completion: 'b' },
        { prompt: 'p', completion: 'a' },
        { prompt: 'q', completion: 'd' },
      ],
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    [
      'good and bad',
      [
        { prompt: 'p', completion: 'a', label: true },
        { prompt: 'p', completion: 'b', label: false },
      ],
      [['a', 'b']],
    ],
  ])('of %s becomes tasks', async (_, rows, texts) => {
    write('rows.jsonl', lines(...rows))
    const found = await bring('rows.jsonl')
    expect(found.report).toEqual({ added: texts.length, already: 0, dropped: {} })
    expect(found.texts).toEqual(texts)
  })

  it('may be csv, json or zipped, with columns of other names', async () => {
    write('rows.csv', 'question,good,bad\np,"a, b",c\n')
    const csv = await bring('rows.csv', {}, { column: { prompt: 'question', chosen: 'good', rejected: 'bad' } })
    expect(csv.texts).toEqual([['a, b', 'c']])
    write('rows.json.gz', gzipSync(JSON.stringify([{ prompt: 'p', responses: ['x', 'y'] }])))
    expect((await bring('rows.json.gz')).texts).toEqual([['x', 'y']])
  })

  it('makes tasks as the mode needs them: each two, one by one, a prompt alone', async () => {
    write(
      'rows.jsonl',
      lines({ prompt: 'p', responses: ['a', 'b', 'c'] }, { prompt: 'q' }, { prompt: 'r', completion: 'd' }),
    )
    const pair = await bring('rows.jsonl', { mode: 'pair' })
    expect(pair.texts).toEqual([
      ['a', 'b'],
      ['a', 'c'],
      ['b', 'c'],
    ])
    expect(pair.report.dropped).toEqual({ 'no-responses': 1, 'one-response': 1 })
    expect((await bring('rows.jsonl', { mode: 'good' })).texts).toEqual([['a'], ['b'], ['c'], ['d']])
    expect((await bring('rows.jsonl', { mode: 'edit' })).texts).toEqual([['a', 'b', 'c'], [], ['d']])
  })

  it('tells of a response that it was cut off, to those who may not see its source too', async () => {
    write(
      'cut.jsonl',
      lines(
        { prompt: 'p', completion: 'a half', model: 'm', finish_reason: 'length' },
        { prompt: 'p', completion: 'a whole.', model: 'm', finish_reason: 'stop' },
      ),
    )
    const { tasks } = await bring('cut.jsonl', { mode: 'pair', blind: true })
    expect(tasks[0].responses).toEqual([{ text: 'a half', cutOff: true }, { text: 'a whole.' }])
  })

  it('brings its own ranks as predictions or known answers, where asked, to tasks that are there too', async () => {
    const { owner, requestId, vote } = studio
    write('plain.jsonl', lines({ prompt: 'p', responses: ['a', 'b', 'c'] }))
    write('ranked.jsonl', lines({ prompt: 'p', responses: ['c', 'a', 'b'], ranks: [1, 3, 2], annotator: 'judge-7b' }))
    const { project, tasks } = await bring('plain.jsonl', { mode: 'rank' })
    expect(tasks[0].prediction).toBeUndefined()
    const again = (ranksAre: string) =>
      owner('POST', `/projects/${project}/import`, { requestId: requestId(), file: 'ranked.jsonl', ranksAre })
    expect((await again('prediction')).body).toEqual({ added: 0, already: 1, dropped: {} })
    const [{ id }] = tasks
    const view = (await owner('GET', `/tasks/${id}`)).body
    expect(view.prediction).toEqual({ by: 'judge-7b', ranks: [3, 2, 1] })
    await again('gold')
    const voted = await vote(owner, view, { ranks: [3, 2, 1] })
    expect(voted.body.gold).toEqual({ right: true })
    const { judges } = (await owner('GET', `/projects/${project}/agreement`)).body
    expect(judges).toMatchObject([{ name: 'judge-7b', agreement: { value: 1 } }])
  })

  it('that is malformed is refused with its place, and nothing of the broken part is kept twice', async () => {
    write(
      'bad.jsonl',
      `${lines({ prompt: 'p', responses: ['a', 'b'], ranks: [1, 2] })}{"prompt": "q", "responses": ["a"], "ranks": [1, 2]}\n`,
    )
    const { report, status } = await bring('bad.jsonl')
    expect(status).toBe(400)
    expect(report.error.message).toMatch(/bad\.jsonl, line 2, row 1, column "\w+": /)
  })

  it('is not added twice, nor by a request that is sent again', async () => {
    const { owner } = studio
    const project = await studio.project({}, 3)
    write(
      'rows.jsonl',
      lines(
        { prompt: 'question 1', responses: ['answer 2 to 1', 'answer 1 to 1'] },
        { prompt: 'new', responses: ['a', 'b'] },
      ),
    )
    const body = { requestId: 'once', file: 'rows.jsonl' }
    const [one, two] = await Promise.all([0, 1].map(() => owner('POST', `/projects/${project}/import`, body)))
    expect(one.body).toEqual({ added: 1, already: 1, dropped: {} })
    expect(two.body).toEqual(one.body)
    expect((await owner('POST', `/projects/${project}/import`, body)).body).toEqual(one.body)
    expect((await owner('GET', `/projects/${project}/progress`)).body.tasks).toBe(4)
  })
})

describe('paths', () => {
  it('stay below the root, links too', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'attune-outside-'))
    try {
      writeFileSync(join(outside, 'secret.jsonl'), lines({ prompt: 'p', responses: ['secret', 'b'] }))
      mkdirSync(join(studio.root, 'data'))
      write('data/inside.jsonl', lines({ prompt: 'p', responses: ['a', 'b'] }))
      symlinkSync(join(outside, 'secret.jsonl'), join(studio.root, 'link.jsonl'))
      symlinkSync(outside, join(studio.root, 'folder'))
      symlinkSync(join(studio.root, 'data/inside.jsonl'), join(studio.root, 'own.jsonl'))
      const refused = [
        'link.jsonl',
        'folder/secret.jsonl',
        '../x',
        join(outside, 'secret.jsonl'),
        `..${outside}/secret.jsonl`,
        'none.jsonl',
        'a\0b',
        '/etc/passwd',
      ]
      for (const path of refused) {
        const { report, status } = await bring(path)
        expect([400, 404], path).toContain(status)
        expect(report.error.message).not.toMatch(/secret\b.*b"/)
      }
      expect((await bring('own.jsonl')).report.added).toBe(1)
      const list = async (folder: string) =>
        (await studio.owner('GET', `/files?folder=${encodeURIComponent(folder)}`)).body
      expect(await list('')).toEqual([
        { path: 'data', kind: 'folder' },
        { path: 'own.jsonl', kind: 'file', bytes: expect.any(Number) },
      ])
      expect(await list('data')).toMatchObject([{ path: 'data/inside.jsonl', kind: 'file' }])
      for (const folder of ['..', 'folder', '../..', outside]) expect((await list(folder)).error, folder).toBeDefined()
    } finally {
      rmSync(outside, { recursive: true })
    }
  })
})

describe('an upload', () => {
  it('is stored for the import, under its name, and ends with the studio', async () => {
    const { owner, requestId } = studio
    const project = await studio.project({}, 0)
    const name = encodeURIComponent('../../my rows.jsonl')
    const sent = await owner(
      'PUT',
      `/uploads/${name}`,
      new TextEncoder().encode(lines({ prompt: 'p', responses: ['a', 'b'] })),
    )
    expect(sent.body).toEqual({ upload: '../../my rows.jsonl', bytes: 37 })
    const report = await owner('POST', `/projects/${project}/import`, {
      requestId: requestId(),
      upload: '../../my rows.jsonl',
    })
    expect(report.body.added).toBe(1)
    const other = await owner('POST', `/projects/${project}/import`, { requestId: requestId(), upload: 'labels.db' })
    expect(other.status).toBe(404)
  })

  it('is cut off where it is too large', async () => {
    const uploads = openUploads(1000)
    const body = new ReadableStream<Uint8Array>({ pull: (out) => out.enqueue(new Uint8Array(300)) })
    await expect(uploads.store('large.jsonl', body)).rejects.toMatchObject({ status: 413 })
    expect(() => uploads.path('large.jsonl')).toThrow(/send it again/)
    await uploads.close()
  })

  it('of rows in the request has a limit of 10 MB', async () => {
    const project = await studio.project({}, 0)
    const rows = (size: number) => [{ prompt: 'p', responses: [{ text: 'x'.repeat(size) }, { text: 'b' }] }]
    const send = (size: number) =>
      studio.owner('POST', `/projects/${project}/import`, { requestId: studio.requestId(), rows: rows(size) })
    expect((await send(9 * 2 ** 20)).body.added).toBe(1)
    expect((await send(10 * 2 ** 20)).status).toBe(413)
  })
})
