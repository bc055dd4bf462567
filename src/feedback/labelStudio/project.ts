/** A project of a Label Studio server: found by its number or title or made, and its tasks page by page. */
import { z } from 'zod'
import { badInput, type Fault } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import { isMissing, isUnclear, type Server } from './server.ts'

export type RemoteProject = { id: number; title: string; label_config: string }

const project = z.object({ id: z.number(), title: z.string(), label_config: z.string() })
const projects = z.object({
  results: z.array(z.object({ id: z.number(), title: z.string() })),
  next: z.string().nullish(),
})
const page = z.object({ total: z.number(), tasks: z.array(z.looseObject({ id: z.number() })) })

export type RemoteTask = z.infer<typeof page>['tasks'][number]

const read = <S extends z.ZodType>(schema: S, value: unknown, server: Server): z.infer<S> => {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw badInput(
    'server-refused',
    `${server.url} answers as no Label Studio server does (${result.error.issues[0].path.join('.')}); is the address right?`,
  )
}

/** The project with this number, or else with this title. @throws Fault 'bad-flag' where several have the title */
export const findProject = async (server: Server, wanted: string): Promise<RemoteProject | undefined> => {
  if (/^\d+$/.test(wanted))
    try {
      return read(project, await server.get(`/api/projects/${wanted}/`), server)
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  const found: number[] = []
  for (let at = 1; ; at++) {
    const query = new URLSearchParams({ title: wanted, page: String(at), page_size: '100', include: 'id,title' })
    const { results, next } = read(projects, await server.get(`/api/projects/?${query}`), server)
    found.push(...results.filter(({ title }) => title === wanted).map(({ id }) => id))
    if (!next || !results.length) break
  }
  if (found.length > 1)
    throw badInput(
      'bad-flag',
      `${found.length} projects are named ${quoted(wanted)}; give one of the numbers ${found.join(', ')}`,
      {
        flag: '--project',
      },
    )
  return found.length ? read(project, await server.get(`/api/projects/${found[0]}/`), server) : undefined
}

export const noProject = (server: Server, wanted: string): Fault =>
  badInput('bad-flag', `${server.url} has no project with the number or title ${quoted(wanted)}`, { flag: '--project' })

/** Titles have 3 to 50 characters there. */
export const makeProject = async (server: Server, title: string, template: string): Promise<RemoteProject> => {
  if (title.length < 3 || title.length > 50)
    throw badInput('bad-flag', `${quoted(title)} must have 3 to 50 characters, as titles of Label Studio do`, {
      flag: '--project',
    })
  try {
    return read(project, await server.post('/api/projects/', { title, label_config: template }), server)
  } catch (error) {
    const made = isUnclear(error) ? await findProject(server, title) : undefined
    if (!made) throw error
    return made
  }
}

/** Tasks of one request. */
const pageSize = 100

/** All tasks of a project, each once. @param whole with their annotations and predictions */
export async function* tasksOfProject(server: Server, id: number, whole: boolean): AsyncGenerator<RemoteTask> {
  const seen = new Set<number>()
  for (let at = 1, total = Number.POSITIVE_INFINITY; (at - 1) * pageSize < total; at++) {
    const query = new URLSearchParams({
      project: String(id),
      page: String(at),
      page_size: String(pageSize),
      ...(whole && { fields: 'all' }),
    })
    let answer: unknown
    try {
      answer = await server.get(`/api/tasks?${query}`)
    } catch (error) {
      // Tasks were removed since the page before
      if (at > 1 && isMissing(error)) return
      throw error
    }
    const found = read(page, answer, server)
    total = found.total
    if (!found.tasks.length) return
    for (const task of found.tasks) {
      if (seen.has(task.id)) continue
      seen.add(task.id)
      yield task
    }
  }
}
