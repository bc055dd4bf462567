/** Routes that tell what the votes add up to: agreement, and the files that they become. */
import { Readable } from 'node:stream'
import { Hono } from 'hono'
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import { requireRole, type StudioEnv } from '../session.ts'
import { agreementOf, isLarge } from './agreement.ts'
import type { Agreement } from './api.ts'
import { endingOf, exportBytes, exportForms, exportRecords } from './exportLabels.ts'
import { idOf, type Labels } from './labels.ts'
import { peopleNames, requireMember } from './people.ts'
import { readProject } from './projects.ts'
import { parsed } from './settings.ts'
import { consensusNames } from './verdictRows.ts'

/** How long an agreement page of many votes is good for. */
const largePageMilliseconds = 3000

export const reportRoutes = (labels: Labels): Hono<StudioEnv> => {
  const { db, tallies, live } = labels
  const app = new Hono<StudioEnv>()

  type Page = { version: number; page: Promise<Agreement>; until: number; told?: NodeJS.Timeout }
  /** The last page of each project, until its votes change; that of many votes for some time, since pages ask at each vote. */
  const pages = new Map<number, Page>()
  app.get('/projects/:id/agreement', requireRole('adjudicate'), async (context) => {
    const id = idOf(context)
    requireMember(db, context.get('person'), id)
    const known = pages.get(id)
    if (known && Date.now() < known.until) {
      // Who got an older page is told to ask again
      known.told ??= setTimeout(() => live.publish({ topic: `project/${id}` }), known.until - Date.now()).unref()
      return context.json(await known.page)
    }
    const { version, ...tally } = await tallies.of(id, readProject(db, id).settings)
    const same = pages.get(id)
    if (same?.version === version) return context.json(await same.page)
    const page = agreementOf(db, id, tally, peopleNames(db))
    pages.set(id, { version, page, until: isLarge(tally) ? Date.now() + largePageMilliseconds : 0 })
    page.catch(() => pages.delete(id))
    return context.json(await page)
  })

  app.get('/projects/:id/export', requireRole('adjudicate'), async (context) => {
    const id = idOf(context)
    requireMember(db, context.get('person'), id)
    const { name, settings } = readProject(db, id)
    const { form, votes, consensus } = parsed(exportQuery, context.req.query())
    const withVotes = votes === 'all' || (!consensus && ['votes', 'label-studio', 'argilla'].includes(form))
    const dropped: Record<string, number> = {}
    const drop = (reason: string, n = 1) => {
      dropped[reason] = (dropped[reason] ?? 0) + n
    }
    const options = { form, consensus: withVotes ? ('none' as const) : (consensus ?? 'adjudicated') }
    const records = exportRecords(db, id, settings, options, drop)
    // What cannot be exported is told before the file begins
    const first = await records.next()
    if (first.done) throw httpError(400, `there is nothing to export${reasons(dropped)}`)
    const ending = endingOf(form)
    const body = Readable.toWeb(Readable.from(exportBytes(withFirst(first.value, records), ending)))
    return new Response(body as ReadableStream, {
      headers: {
        'content-type': ending === 'json' ? 'application/json' : 'application/x-ndjson; charset=utf-8',
        'content-disposition': `attachment; filename="${fileName(name)}-${form}.${ending}"`,
      },
    })
  })

  return app
}

const exportQuery = z.object({
  form: z.enum(exportForms, `form: must be one of ${exportForms.join(', ')}`),
  votes: z.enum(['', 'all', 'none']).default(''),
  consensus: z.enum(consensusNames, `consensus: must be one of ${consensusNames.join(', ')}`).optional(),
})

async function* withFirst<T>(first: T, rest: AsyncGenerator<T>) {
  yield first
  yield* rest
}

const reasons = (dropped: Record<string, number>) => {
  const all = Object.entries(dropped).map(([reason, n]) => `${reason}: ${n}`)
  return all.length ? ` (${all.join(', ')})` : ' yet: no task has a vote'
}

const fileName = (name: string) =>
  name
    .replace(/[^a-z0-9-]+/gi, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60) || 'labels'
