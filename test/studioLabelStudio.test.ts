/** A project of the studio and Label Studio: templates in and out, tasks and votes to a server and back. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { parseTemplate } from '../src/feedback/labelStudio/parseTemplate.ts'
import type { ProjectSettings, VoteValue } from '../src/studio/labels/api.ts'
import { openLabelling } from './support/labelling.ts'
import { legacyToken, type Stub, startStub } from './support/labelStudioStub.ts'
import { root } from './support/project.ts'

const notebook = readFileSync(join(root, 'test/fixtures/labelStudio/ranker.xml'), 'utf8')
let studio: ReturnType<typeof openLabelling>
let stub: Stub
beforeEach(async () => {
  studio = openLabelling()
  stub = await startStub()
})
afterEach(async () => {
  await studio.close()
  await stub.close()
})

const remote = (project: string) => ({ requestId: studio.requestId(), server: stub.url, token: legacyToken, project })

it("the notebook's template sets a project up: its mode, its style made harmless, the names of its parts", async () => {
  const id = await studio.project({ mode: 'best' }, 0)
  const { status, body } = await studio.owner('POST', `/projects/${id}/template`, { requestId: 'a', xml: notebook })
  expect([status, body]).toEqual([200, { added: 0, already: 0, dropped: {}, leftOut: [] }])
  const { settings } = (await studio.owner('GET', `/projects/${id}`)).body
  expect(settings).toMatchObject({
    mode: 'rank',
    template: { classes: { item: 'text-panel', title: 'text-title' } },
  })
  expect(settings.template.css).toContain('.text-panel{display:flex')
  expect(studio.published).toContain(`project/${id}`)
})

it('a template in a file below the folder is taken like a file of rows', async () => {
  const id = await studio.project({}, 0)
  const xml = `<View><Style>.a{color:red;background:url(x)}</Style><Header value="Which?"/><Header value="Be kind."/><Text name="p" value="$p"/>
    <Text name="a" value="$a"/><Text name="b" value="$b"/><Pairwise name="w" toName="a,b"/></View>`
  writeFileSync(join(studio.root, 'ui.xml'), xml)
  const { body } = await studio.owner('POST', `/projects/${id}/import`, {
    requestId: studio.requestId(),
    file: 'ui.xml',
  })
  expect(body).toEqual({ added: 0, already: 0, dropped: {}, leftOut: ['style "background:url(x)"'] })
  expect((await studio.owner('GET', `/projects/${id}`)).body).toMatchObject({
    guidelines: 'Be kind.',
    settings: { mode: 'pair', edits: false, bothBad: false, template: { css: '.a{color:red}', title: 'Which?' } },
  })
})

it('a template that cannot be honoured is refused by tag and line, and changes nothing', async () => {
  const id = await studio.project({ mode: 'best' }, 0)
  const ask = (xml: string) => studio.owner('POST', `/projects/${id}/template`, { requestId: studio.requestId(), xml })
  expect((await ask('<View>\n<Video name="v" value="$v"/></View>')).body.error.message).toContain('Video "v" on line 2')
  const extra = `<View><Text name="p" value="$p"/><List name="l" value="$items"/><Ranker name="r" toName="l"/>
    <Choices name="topic" toName="p"><Choice value="maths"/><Choice value="art"/></Choices></View>`
  expect((await ask(extra)).body.error.message).toContain('"topic" asks something beside the rank')
  expect((await studio.owner('GET', `/projects/${id}`)).body.settings).toMatchObject({ mode: 'best' })
})

it('is for the owner alone', async () => {
  const id = await studio.project({}, 1)
  const ann = await studio.annotator('ann', [id], 'adjudicate')
  for (const [method, path] of [
    ['GET', 'template'],
    ['POST', 'template'],
    ['POST', 'label-studio/push'],
    ['POST', 'label-studio/pull'],
  ])
    expect((await ann(method, `/projects/${id}/${path}`, method === 'POST' ? remote('x') : undefined)).status).toBe(403)
  expect(stub.log).toEqual([])
})

const modes: [Partial<ProjectSettings>, number, VoteValue, object?][] = [
  [{ mode: 'rank' }, 3, { ranks: [2, 1, null], note: 'why' }],
  [{ mode: 'pair', strengths: 3 }, 2, { preference: -2, ranks: [1, 2], note: 'why' }],
  [
    {
      mode: 'rate',
      scales: [
        { name: 'helpful', min: 1, max: 5 },
        { name: 'safe', min: 1, max: 7 },
      ],
    },
    2,
    {
      ratings: [
        { helpful: 2, safe: 7 },
        { helpful: 5, safe: 6 },
      ],
    },
  ],
  [{ mode: 'best' }, 3, { ranks: [null, 1, null] }],
  [{ mode: 'good' }, 1, { good: false, note: 'wrong' }],
]
it.each(modes)(
  '%j: votes go to a server, and come from there as a start for others',
  async (settings, responses, value) => {
    const id = await studio.project(settings, 2, responses)
    const ann = await studio.annotator('ann', [id])
    const { body: view } = await ann('GET', `/projects/${id}/next`)
    expect((await studio.vote(ann, view, value)).status).toBe(200)

    const push = () => studio.owner('POST', `/projects/${id}/label-studio/push`, remote('There'))
    expect((await push()).body).toEqual({
      project: 1,
      title: 'There',
      made: true,
      tasks: 2,
      annotations: 1,
      already: 0,
      dropped: {},
    })
    expect((await push()).body).toMatchObject({ made: false, tasks: 0, already: 2 })
    expect(parseTemplate(stub.projects[0].label_config).mode).toBe(settings.mode)

    const other = await studio.project(settings, 0, responses, 'other')
    const { body: report } = await studio.owner('POST', `/projects/${other}/label-studio/pull`, remote('There'))
    expect(report).toEqual({ added: 2, already: 0, dropped: {} })
    const page = await studio.owner('GET', `/projects/${other}/tasks?limit=10`)
    const views = await Promise.all(
      page.body.rows.map(async (row: { id: number }) => (await studio.owner('GET', `/tasks/${row.id}`)).body),
    )
    const pulled = views.find(({ prompt }) => prompt === view.prompt)
    expect(pulled.responses.map(({ text }: { text: string }) => text)).toEqual(
      view.responses.map(({ text }: { text: string }) => text),
    )
    expect(pulled.prediction).toEqual({ ...value, by: 'ann' })
    expect(views.filter(({ prediction }) => prediction)).toHaveLength(1)
  },
)

it('an export has the same votes in the form of a file, and a token is kept nowhere', async () => {
  const id = await studio.project({ mode: 'rank' }, 1, 3)
  const ann = await studio.annotator('ann', [id])
  const { body: view } = await ann('GET', `/projects/${id}/next`)
  await studio.vote(ann, view, { ranks: [2, 1, null], note: 'why' })
  const { text } = await studio.owner('GET', `/projects/${id}/export?form=label-studio`)
  const [{ annotations }] = JSON.parse(text)
  expect(annotations[0].result.map(({ type }: { type: string }) => type)).toEqual(['ranker', 'textarea'])
  await studio.owner('POST', `/projects/${id}/label-studio/push`, remote('There'))
  const stored = studio.db.all<{ all: string }>("SELECT quote(answer) || quote(what) AS 'all' FROM request")
  expect(JSON.stringify(stored)).not.toContain(legacyToken)
})

it('what the server says of a token is shown, without it', async () => {
  const id = await studio.project({}, 1)
  stub.state.legacy = false
  const { status, text } = await studio.owner('POST', `/projects/${id}/label-studio/pull`, remote('There'))
  expect(status).toBe(400)
  expect(text).toContain('legacy token authentication has been disabled')
  expect(text).not.toContain(legacyToken)
})
