/** The part of the studio that starts jobs, over a folder and a label store of its own, without a port. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { asHttpError } from '../../src/http/errors.ts'
import { openDatabase } from '../../src/store/database.node.ts'
import type { Job, JobState } from '../../src/studio/jobs/api.ts'
import { jobRoutes } from '../../src/studio/jobs/routes.ts'
import { labelRoutes } from '../../src/studio/labels/routes.ts'
import { migrations } from '../../src/studio/labels/schema.ts'
import type { Role, StudioEnv } from '../../src/studio/session.ts'

const command = join(import.meta.dirname, 'standInCommand.mjs')

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of all routes
type Answer = { status: number; body: any }

export const openStarting = async () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'attune-jobs-')))
  const errors: unknown[] = []
  const events: { topic: string; data?: unknown }[] = []
  const live = {
    publish: (event: { topic: string }) => void events.push(event),
    stream: () => new Response(),
    isWanted: () => true,
    close() {},
  }
  const db = openDatabase(join(root, 'labels.db'), migrations)
  const labels = labelRoutes({ db, live, root, address: () => 'http://127.0.0.1' })
  let role: Role = 'own'
  const open = async () => {
    const part = await jobRoutes(labels.labels, { root, command, every: 20, onError: (error) => errors.push(error) })
    const app = new Hono<StudioEnv>()
    app.use(async (context, next) => {
      context.set('person', { id: role === 'own' ? 0 : 1, name: role, role })
      await next()
    })
    app.route('/', labels.routes)
    app.route('/', part.routes)
    app.onError((error) => {
      const answer = asHttpError(error)
      if (answer.status === 500) errors.push(error)
      return answer.getResponse()
    })
    return { app, part }
  }
  let { app, part } = await open()
  const send = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await app.request(path, {
      method,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    return { status: response.status, body: response.status === 204 ? undefined : await response.json() }
  }
  const write = (path: string, rows: readonly object[]) => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  }
  return {
    ...{ root, errors, events, send, write, db },
    as(other: Role) {
      role = other
    },
    /** Waits until a job is in a state. */
    async until(id: number, ...states: JobState[]): Promise<Job> {
      for (let tries = 0; tries < 300; tries++) {
        const { body } = await send('GET', `/jobs/${id}`)
        if (states.includes(body.state)) return body
        await new Promise((done) => setTimeout(done, 20))
      }
      throw new Error(
        `job ${id} did not become ${states.join(' or ')}: ${JSON.stringify((await send('GET', `/jobs/${id}`)).body)}`,
      )
    },
    /** The command lines that were run. */
    ran: (): string[][] =>
      readFileSync(join(root, 'argv.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    /** Closes the part and opens it anew, as a restart of the studio does. */
    async restart(between = async () => {}) {
      await part.close()
      await between()
      ;({ app, part } = await open())
    },
    async close() {
      for (const job of part.jobs.list())
        if (job.state === 'running' || job.state === 'stopping') {
          await part.jobs.stop(job.id).catch(() => {})
        }
      await part.close()
      await labels.close()
      db.close()
      rmSync(root, { recursive: true })
    },
  }
}
