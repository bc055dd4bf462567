/** The part of the studio that starts work: forms, jobs, and the blind re-test after a training. Its owner alone may use it. */
import { readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { Hono } from 'hono'
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import { methods } from '../../recipes/methods.ts'
import { newRunFolder, requireRun, runsRoot } from '../../runs/find.node.ts'
import { readInfo } from '../../runs/run.node.ts'
import { badInput } from '../../util/fault.ts'
import { shellWord } from '../../util/format.ts'
import { bodyOf, idOf, type Labels } from '../labels/labels.ts'
import { foldersBelow } from '../runs/folders.node.ts'
import { requireRole, type StudioEnv } from '../session.ts'
import { finishJob, generateJob, judgeJob, modelTitle, samplingSchema, scoreJob } from './answers.ts'
import type { Checked, Choices, Settings } from './api.ts'
import { estimate } from './estimate.ts'
import { checkSettings, methodBriefs, methodForm, methodNamed } from './forms.ts'
import { type Jobs, type JobsOptions, openJobs, runName } from './jobs.ts'
import { labelFolder, writeLabels } from './labelRows.ts'
import { pathBelow } from './paths.ts'
import { openRetests } from './retests.ts'

const settings = z.record(z.string(), z.unknown())
const training = z.strictObject({ method: z.string().max(100), settings })
const project = z.number().int().positive()
const place = z.string().min(1).max(4000)

const newJob = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('train'), method: z.string().max(100), settings, project: project.optional() }),
  z.strictObject({ kind: z.literal('resume'), run: place }),
  z.strictObject({
    kind: z.literal('generate'),
    model: place,
    data: place,
    samples: z.number().int().min(1).max(100),
    project: z.union([project, z.string().trim().min(1).max(300)]),
    sampling: samplingSchema,
  }),
  z.strictObject({ kind: z.literal('score'), model: place, project }),
  z.strictObject({ kind: z.literal('judge'), model: place, project }),
])

const labelsRequest = z.strictObject({
  project,
  method: z.string().max(100),
  consensus: z.enum(['adjudicated', 'majority', 'bradley-terry']),
  heldOut: z.number().min(0).max(0.9),
  write: z.boolean().optional(),
})

const newRetest = z.strictObject({
  run: place,
  prompts: z.number().int().min(1).max(10_000),
  sampling: samplingSchema,
})

export type JobPart = { routes: Hono<StudioEnv>; jobs: Jobs; close(): Promise<void> }

/** @param root the studio's folder, a real path */
export const jobRoutes = async (
  labels: Labels,
  { root, ...options }: Omit<JobsOptions, 'live' | 'onDone'>,
): Promise<JobPart> => {
  const jobs = await openJobs({
    ...options,
    root,
    live: labels.live,
    onDone: (id, record) => finishJob(labels, record, jobs.printed(id), (retest) => retests.jobEnded(retest, id)),
  })
  const retests = await openRetests(root, labels, jobs)
  jobs.begin()
  const app = new Hono<StudioEnv>()
  for (const path of [
    '/methods',
    '/methods/*',
    '/training-choices',
    '/training-labels',
    '/jobs',
    '/jobs/*',
    '/retests',
    '/retests/*',
  ])
    app.use(path, requireRole('own'))

  // ---- forms
  app.get('/methods', (context) => context.json(methodBriefs()))
  app.get('/methods/:name', async (context) => context.json(await methodForm(known(context.req.param('name')))))
  app.get('/training-choices', async (context) =>
    context.json({
      ...(await choicesIn(root)),
      redis: options.workers ? [options.workers.address] : [],
    } satisfies Choices),
  )
  app.post('/training-labels', async (context) =>
    context.json(await writeLabels(labels, root, await bodyOf(context, labelsRequest))),
  )

  // ---- jobs
  app.post('/jobs/check', async (context) => context.json(shownCheck(await checked(await bodyOf(context, training)))))
  app.post('/jobs/estimate', async (context) => {
    const { argv, problems } = await checked(await bodyOf(context, training))
    if (problems.length) throw badInput('bad-settings', `${problems[0].key}: ${problems[0].message}`)
    if (jobs.list().some(({ state }) => state === 'running'))
      return context.json({ failed: 'a job is running; the estimate would be wrong until it has ended' })
    return context.json(await estimate(argv, root, context.req.raw.signal, options.command))
  })
  app.get('/jobs', (context) => context.json(jobs.list()))
  app.post('/jobs', async (context) => {
    const given = await bodyOf(context, newJob)
    return context.json(await jobs.add(await recordOf(given)), 201)
  })
  app.get('/jobs/:id', async (context) => context.json(await jobs.details(idOf(context))))
  app.post('/jobs/:id/start', async (context) => context.json(await jobs.start(idOf(context))))
  app.post('/jobs/:id/stop', async (context) => context.json(await jobs.stop(idOf(context))))
  app.post('/jobs/:id/resume', async (context) => {
    const { output, project } = jobs.record(idOf(context))
    if (output === undefined) throw badInput('bad-job', 'only a training can go on')
    return context.json(await jobs.add({ ...(await resumed(output)), project }), 201)
  })
  app.delete('/jobs/:id', async (context) => {
    await jobs.forget(idOf(context))
    return context.body(null, 204)
  })

  // ---- blind re-test
  app.get('/retests', async (context) => {
    const source = context.req.query('project')
    return context.json(await retests.list(source === undefined ? undefined : Number(source)))
  })
  app.post('/retests', async (context) => {
    const given = await bodyOf(context, newRetest)
    return context.json(await retests.add({ ...given, source: sourceOf(given.run) }), 201)
  })
  app.get('/retests/:id', async (context) => context.json(await retests.get(idOf(context))))
  app.delete('/retests/:id', async (context) => {
    await retests.forget(idOf(context))
    return context.body(null, 204)
  })

  const known = (name: string) => {
    try {
      return methodNamed(name)
    } catch (error) {
      throw httpError(404, (error as Error).message)
    }
  }

  /** The project whose labels a run was trained on, as its job says. */
  const sourceOf = (run: string) => {
    const job = jobs
      .list()
      .find((each) => each.output !== undefined && runName(each.output) === runName(run) && each.project)
    return job?.project
  }

  const checked = async ({ method, settings }: { method: string; settings: Settings }) => {
    const key = methodNamed(method)
    const taken = new Set(jobs.outputs().map((output) => join(root, output)))
    const fresh = await newRunFolder(method, join(root, runsRoot), (path) => !taken.has(path))
    const given = typeof settings.output === 'string' && settings.output !== '' ? settings.output : undefined
    const output = given ?? relative(root, fresh).replaceAll('\\', '/')
    const { argv, problems } = await checkSettings(root, key, { ...settings, output }, output)
    if (given !== undefined && !problems.some((problem) => problem.key === 'output'))
      problems.push(...(await outputProblems(given, taken)))
    return { argv, problems, output, method: methods[key].name, title: titleOf(method, settings.model) }
  }

  const outputProblems = async (output: string, taken: ReadonlySet<string>) => {
    const path = join(root, await pathBelow(root, output))
    const isFull = await readdir(path).then(
      (entries) => entries.length > 0,
      () => false,
    )
    if (!isFull && !taken.has(path)) return []
    return [{ key: 'output', message: 'is taken already; name another folder, or leave it empty for a new one' }]
  }

  const resumed = async (run: string) => {
    const dir = await requireRun(join(root, await pathBelow(root, run)), join(root, runsRoot)).catch(() =>
      requireRun(run, join(root, runsRoot)),
    )
    const output = await pathBelow(root, dir)
    const { method, config } = await readInfo(dir)
    return {
      kind: 'train' as const,
      title: `${titleOf(method, config.model)}, resumed`,
      method: methods[methodNamed(method)].name,
      argv: ['runs', 'resume', output],
      output,
    }
  }

  const recordOf = async (given: z.output<typeof newJob>) => {
    if (given.kind === 'resume') return resumed(given.run)
    if (given.kind === 'generate') return generateJob(root, given)
    if (given.kind === 'score') return scoreJob(labels, root, given.model, given.project)
    if (given.kind === 'judge') return judgeJob(labels, root, given.model, given.project)
    const { argv, problems, output, title, method } = await checked(given)
    if (problems.length) throw badInput('bad-settings', `${problems[0].key}: ${problems[0].message}`)
    return { kind: 'train' as const, title, method, argv, output, project: given.project }
  }

  return { routes: app, jobs, close: jobs.close }
}

const titleOf = (method: string, model: unknown): string =>
  typeof model === 'string' ? `${method} of ${modelTitle(model)}` : method

const shownCheck = ({
  argv,
  problems,
  output,
}: {
  argv: string[]
  problems: Checked['problems']
  output: string
}): Checked => ({
  command: ['attune', ...argv].map(shellWord).join(' '),
  problems,
  output,
})

const rowFile = /\.(jsonl?|csv|tsv|parquet)(\.gz)?$/
const mostFiles = 200

/** Models and files to pick from: runs with what they made, models that they began from, files of rows. */
const choicesIn = async (root: string): Promise<Omit<Choices, 'redis'>> => {
  const models = new Set<string>()
  const rewardModels = new Set<string>()
  for (const { dir } of await foldersBelow(root)) {
    const info = await readInfo(dir).catch(() => undefined)
    if (!info) continue
    const below = relative(root, dir).replaceAll('\\', '/')
    ;(info.method === 'reward' ? rewardModels : models).add(below)
    if (typeof info.config.model === 'string') models.add(info.config.model)
  }
  const files: string[] = []
  for (const folder of ['.', labelFolder, 'data']) {
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => [])
    for (const entry of entries)
      if (entry.isDirectory() && folder === '.' && !entry.name.startsWith('.')) {
        const inside = await readdir(join(root, entry.name)).catch((): string[] => [])
        if (inside.includes('config.json')) models.add(entry.name)
      } else if (entry.isFile() && rowFile.test(entry.name) && files.length < mostFiles)
        files.push(folder === '.' ? entry.name : `${folder}/${entry.name}`)
  }
  return { models: [...models].sort(), rewardModels: [...rewardModels].sort(), files: files.sort() }
}
