/**
 * A server that answers as Label Studio 1.23 does, as far as attune asks: tokens, projects, imports of tasks and lists of tasks with
 * their refusals. `npm run check:label-studio` runs against a real one.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

// biome-ignore lint/suspicious/noExplicitAny: whatever a client sends
type Json = Record<string, any>
export type StubTask = { id: number; project: number; data: Json; meta: Json; annotations: Json[]; predictions: Json[] }

export const legacyToken = '0123456789abcdef0123456789abcdef01234567'
export const personalToken = 'eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl'

/** What goes wrong with the next requests that fit, in order. */
export type Trouble = { on: RegExp; status: number /** The request is carried out, and then fails. */; done?: boolean }

export const startStub = async () => {
  const projects: Json[] = []
  const tasks: StubTask[] = []
  const log: string[] = []
  const troubles: Trouble[] = []
  const state = { legacy: true, access: 'none', refreshed: 0 }
  let annotations = 0

  const handle = (method: string, url: URL, body: Json | undefined, authorization = ''): [number, unknown] => {
    const { pathname, searchParams: query } = url
    if (pathname === '/api/token/refresh/') {
      if (body?.refresh !== personalToken) return [401, { detail: 'Token is invalid' }]
      state.access = `access.${++state.refreshed}.x`
      return [200, { access: state.access }]
    }
    const allowed =
      (state.legacy && authorization === `Token ${legacyToken}`) || authorization === `Bearer ${state.access}`
    if (!allowed)
      return [
        401,
        {
          detail: authorization.startsWith('Token ')
            ? 'Authentication token no longer valid: legacy token authentication has been disabled for this organization'
            : 'Given token not valid for any token type',
        },
      ]
    if (pathname === '/api/projects/' && method === 'POST') {
      const project = { id: projects.length + 1, title: body?.title, label_config: body?.label_config }
      projects.push(project)
      return [201, project]
    }
    if (pathname === '/api/projects/') {
      const found = projects.filter(({ title }) => title.toLowerCase().includes(query.get('title')!.toLowerCase()))
      return [200, { count: found.length, next: null, results: found.map(({ id, title }) => ({ id, title })) }]
    }
    const importOf = /^\/api\/projects\/(\d+)\/import$/.exec(pathname)
    if (importOf) return importTasks(Number(importOf[1]), body as Json[])
    const one = /^\/api\/projects\/(\d+)\/$/.exec(pathname)
    if (one) {
      const project = projects[Number(one[1]) - 1]
      return project ? [200, project] : [404, { detail: 'No Project matches the given query.' }]
    }
    if (pathname === '/api/tasks') {
      const own = tasks.filter(({ project }) => project === Number(query.get('project')))
      const [page, size] = [Number(query.get('page')), Number(query.get('page_size'))]
      const shown = own.slice((page - 1) * size, page * size)
      if (page > 1 && !shown.length) return [404, { detail: 'Invalid page.' }]
      const whole = query.get('fields') === 'all'
      return [
        200,
        {
          total: own.length,
          tasks: shown.map((task) => (whole ? task : { ...task, annotations: [], predictions: [] })),
        },
      ]
    }
    return [404, { detail: 'Not found.' }]
  }

  const importTasks = (project: number, given: Json[]): [number, unknown] => {
    const needed = [...projects[project - 1].label_config.matchAll(/"\$(\w+)"/g)].map(([, key]) => key)
    const made: StubTask[] = []
    for (const [i, task] of given.entries()) {
      const missing = needed.find((key) => !(key in task.data))
      const refuse = (message: string): [number, unknown] => [
        400,
        { detail: 'Validation error', validation_errors: { non_field_errors: [message] } },
      ]
      if (missing) return refuse(`Error at item ${i}: "${missing}" key is expected in task data`)
      for (const { id, completed_by } of task.annotations ?? []) {
        if (completed_by !== undefined && completed_by !== 1)
          return refuse(
            `Import data contains completed_by=${completed_by} which is not a valid annotator's email or ID`,
          )
        if (id !== undefined && !/^\d+$/.test(String(id)))
          return [500, { detail: `Field 'import_id' expected a number but got '${id}'.` }]
      }
      made.push({
        id: tasks.length + made.length + 1,
        project,
        data: task.data,
        meta: task.meta ?? {},
        annotations: (task.annotations ?? []).map((annotation: Json) => ({
          ground_truth: true,
          ...annotation,
          id: ++annotations,
          completed_by: 1,
          created_at: '2026-11-30T19:00:00.000000Z',
        })),
        predictions: (task.predictions ?? []).map((prediction: Json, n: number) => ({ id: n + 1, ...prediction })),
      })
    }
    tasks.push(...made)
    return [201, { task_count: made.length }]
  }

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const url = new URL(request.url!, 'http://stub')
    const name = `${request.method} ${url.pathname}`
    log.push(name)
    const at = troubles.findIndex(({ on }) => on.test(name))
    const [trouble] = at < 0 ? [] : troubles.splice(at, 1)
    const run = () => handle(request.method!, url, text ? JSON.parse(text) : undefined, request.headers.authorization)
    if (trouble?.done) run()
    if (trouble?.status === 0) return request.socket.destroy()
    const [status, body] = trouble ? [trouble.status, { detail: 'trouble' }] : run()
    response.writeHead(status, {
      'content-type': 'application/json',
      ...(status === 429 && { 'retry-after': '0' }),
      ...(status === 302 && { location: 'https://elsewhere.example/' }),
    })
    response.end(JSON.stringify(body))
  }

  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    projects,
    tasks,
    log,
    troubles,
    state,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
export type Stub = Awaited<ReturnType<typeof startStub>>
