/** `attune label`: the studio, opened where the rows of a file are labelled. */
import { randomUUID } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { basename, relative, resolve } from 'node:path'
import { z } from 'zod'
import type { Mode, Project, ProjectSummary } from '../../studio/labels/api.ts'
import { previewOf } from '../../studio/labels/preview.ts'
import type { Studio } from '../../studio/openStudio.node.ts'
import { badInput } from '../../util/fault.ts'
import { command } from '../command.ts'
import { runStudio, studioFields } from '../studioServer.ts'

const modes = ['rank', 'pair', 'rate', 'best', 'good', 'edit'] as const satisfies readonly Mode[]

const schema = z.object({
  file: z
    .string()
    .meta({ value: 'FILE' })
    .describe('rows with a prompt and responses: jsonl, json, csv, parquet, what attune generate wrote, an export'),
  mode: z
    .enum(modes)
    .optional()
    .describe(
      'rank the responses, choose of a pair, rate, choose the best, say good or bad, or edit (default: by how many there are)',
    ),
  project: z.string().optional().meta({ value: 'NAME' }).describe('name of the project (default: that of the file)'),
  folder: z.string().default('.').meta({ value: 'DIR' }).describe('the folder to work in; the file lies below it'),
  ...studioFields,
})

export default command({
  summary:
    'Label the rows of a file in the browser: rank, compare, rate or edit responses. The same file goes on where it was',
  example: 'label ROWS.jsonl --open',
  schema,
  operands: ['file'],
  async run({ file, mode, project = basename(file).replace(/\..*$/, ''), folder, ...options }, { out }) {
    const path = await realpath(file).catch(() => {
      throw badInput('no-file', 'is not there', { file })
    })
    const root = await realpath(folder).catch(() => resolve(folder))
    const below = relative(root, path)
    if (below.startsWith('..')) throw badInput('bad-flag', `does not lie below ${root}; give --folder`, { file })
    // Before the store is made: none is left behind where the rows cannot be labelled
    const proposed = mode ?? (await proposedMode(path, file))
    await runStudio(folder, options, out, async (studio) => {
      const send = sender(studio)
      const found = (await send<ProjectSummary[]>('GET', '/projects')).find(({ name }) => name === project)
      const id = found?.id ?? (await addProject(send, project, proposed))
      await send('POST', `/projects/${id}/import`, { requestId: randomUUID(), file: below })
      return studio.ownerUrl.replace('/?', `/label/${id}/task?`)
    })
  },
})

type Send = <T>(method: string, path: string, body?: object) => Promise<T>

/** Requests to the studio's own routes, so that the same is checked as for the page. */
const sender = ({ url, ownerUrl }: Studio): Send => {
  const token = new URL(ownerUrl).searchParams.get('token')
  return async (method, path, body) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const response = await fetch(`${url}/api${path}`, { method, headers, body: body && JSON.stringify(body) })
    const answer = await response.json()
    if (response.ok) return answer
    throw badInput(answer.error.code ?? 'bad-file', answer.error.message)
  }
}

const addProject = async (send: Send, name: string, mode: Mode): Promise<number> =>
  (await send<Project>('POST', '/projects', { requestId: randomUUID(), name, settings: { mode } })).id

/** One response is good or bad, two are a pair, more are ranked. */
const proposedMode = async (path: string, file: string): Promise<Mode> => {
  const { responses } = await previewOf(path)
  if (responses < 1)
    throw badInput('wrong-kind', 'has prompts without responses; make some with attune generate, or give --mode edit', {
      file,
    })
  return responses === 1 ? 'good' : responses === 2 ? 'pair' : 'rank'
}
