/** The labelling part of the studio over a store of its own, without a port: requests of its owner and of annotators. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { asHttpError } from '../../src/http/errors.ts'
import { openDatabase } from '../../src/store/database.node.ts'
import type { ProjectSettings, TaskView, VoteValue } from '../../src/studio/labels/api.ts'
import { labelRoutes } from '../../src/studio/labels/routes.ts'
import { migrations } from '../../src/studio/labels/schema.ts'
import { identify, type StudioEnv } from '../../src/studio/session.ts'

const ownerToken = 'the-token-of-the-owner'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of all routes
type Answer = { status: number; body: any; text: string; headers: Headers }
export type Client = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>

export const openLabelling = () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'attune-labels-')))
  const file = join(root, 'labels.db')
  const published: string[] = []
  let db = openDatabase(file, migrations)
  const live = {
    publish: ({ topic }: { topic: string }) => void published.push(topic),
    isWanted: () => false,
    stream: () => new Response(),
    close: () => {},
  }
  const open = () => {
    const labels = labelRoutes({ db, live, root, address: () => 'http://127.0.0.1:8001' })
    const app = new Hono<StudioEnv>()
    app.use(
      identify((token) => (token === ownerToken ? { id: 0, name: 'owner', role: 'own' } : labels.findPerson(token))),
    )
    app.route('/api', labels.routes)
    app.onError((error) => {
      const answer = asHttpError(error)
      if (answer.status === 500) console.error(error)
      return answer.getResponse()
    })
    return { app, labels }
  }
  let { app, labels } = open()
  let ids = 0

  const clientOf =
    (token: string): Client =>
    async (method, path, body, headers = {}) => {
      const raw = body instanceof Uint8Array || typeof body === 'string'
      const response = await app.request(`http://127.0.0.1/api${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && !raw && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: raw ? (body as string) : JSON.stringify(body) }),
      })
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.startsWith('application/json')
      return { status: response.status, body: isJson ? JSON.parse(text) : text, text, headers: response.headers }
    }
  const owner = clientOf(ownerToken)
  const requestId = () => `request-${++ids}`

  return {
    root,
    owner,
    published,
    requestId,
    get db() {
      return db
    },
    /** What other parts of the studio get. */
    get labels() {
      return labels.labels
    },
    /** A project with tasks "question 1", each with so many answers. */
    async project(settings: Partial<ProjectSettings>, tasks = 3, responses = 2, name = 'helpful') {
      const { body } = await owner('POST', '/projects', { requestId: requestId(), name, settings })
      const rows = Array.from({ length: tasks }, (_, i) => ({
        prompt: `question ${i + 1}`,
        responses: Array.from({ length: responses }, (_, j) => ({
          text: `answer ${j + 1} to ${i + 1}`,
          source: `model-${j + 1}`,
        })),
      }))
      if (tasks) await owner('POST', `/projects/${body.id}/import`, { requestId: requestId(), rows })
      return body.id as number
    },
    /** Somebody with a link. */
    async annotator(name: string, projects: number[], role: 'annotate' | 'adjudicate' = 'annotate') {
      const { body } = await owner('POST', '/annotators', { requestId: requestId(), name, role, projects })
      return clientOf(new URL(body.link).searchParams.get('token')!)
    },
    /** Votes on a task as it was given. */
    vote: (client: Client, { id, version, shown }: TaskView, value: VoteValue, more: object = {}) =>
      client('POST', `/tasks/${id}/votes`, {
        requestId: requestId(),
        version,
        shown,
        value,
        seconds: 2,
        touched: true,
        ...more,
      }),
    /** As after a restart of the server. */
    reopen() {
      db.close()
      db = openDatabase(file, migrations)
      ;({ app, labels } = open())
    },
    async close() {
      await labels.close()
      db.close()
      rmSync(root, { recursive: true })
    },
  }
}
