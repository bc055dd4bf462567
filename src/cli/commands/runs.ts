/** `attune runs`: the runs on this machine. */
import { existsSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { z } from 'zod'
import { type MethodKey, methodKeys, methods } from '../../recipes/methods.ts'
import { compareRuns } from '../../runs/compare.ts'
import { curvesOf } from '../../runs/curves.node.ts'
import {
  deleteRun,
  type RunSummary,
  readRun,
  requireRun,
  runEvents,
  runFolders,
  runsBelow,
  runsRoot,
} from '../../runs/find.node.ts'
import type { RunInfo } from '../../runs/run.node.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { plural } from '../../util/format.ts'
import { type Context, command } from '../command.ts'
import { confirmed } from '../confirm.ts'
import { shortPath } from '../format.ts'
import type { Output } from '../output.ts'
import { comparisonText, runDetails, runTable } from '../runText.ts'

const schema = z.object({
  action: z.enum(['list', 'show', 'compare', 'resume', 'push', 'delete']).default('list').describe('the action'),
  runs: z.array(z.string()).default([]).describe('names or folders of runs'),
  root: z.string().default(runsRoot).meta({ value: 'DIR' }).describe('the folder in which runs are found by name'),
  all: z.boolean().default(false).describe('with show: also the settings that have their defaults'),
  events: z.boolean().default(false).describe('with show: print every event of the log as JSON lines'),
  yes: z.boolean().default(false).describe('with delete: do not ask'),
  open: z
    .boolean()
    .default(false)
    .describe('with show: write the page of the run into its folder, and open it in a browser'),
  html: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'FILE' })
    .describe('with show: write the page of the run to this file'),
  to: z
    .string()
    .optional()
    .meta({ value: 'OWNER/NAME' })
    .describe('with push: the repository of the hub; a new one is private'),
})
type Options = z.output<typeof schema>

export default command({
  summary: 'List, show, compare, resume, push and delete runs',
  example: 'runs compare RUN OTHER-RUN',
  schema,
  operands: ['action', 'runs'],
  run: (options, context) => actions[options.action](options, context),
})

const actions: Record<Options['action'], (options: Options, context: Context) => Promise<void>> = {
  async list({ root, runs }, { out }) {
    const named = await runFolders([root, ...runs])
    // By default also those that --output put elsewhere
    const others = root === runsRoot && !runs.length ? (await runsBelow()).filter((dir) => !named.includes(dir)) : []
    const found = [...(await Promise.all(named.map(readRun))), ...(await Promise.all(others.map(ifRun))).flat()]
    if (out.json) for (const run of found) await out.jsonLine(runLine(run))
    else await out.text(found.length ? runTable(found, (run) => nameFor(run, root), out.columns()) : noRuns(root))
  },
  async show({ runs, root, all, events, open, html }, { out }) {
    if (html !== undefined && runs.length > 1)
      throw badInput('bad-flag', 'takes the page of one run; name one', { flag: '--html' })
    if (html !== undefined && !existsSync(dirname(resolve(html))))
      throw badInput('no-file', 'its folder is not there; make it first', { file: html })
    for (const dir of await foldersOf(runs, root, 1)) {
      const run = await readRun(dir)
      if (open || html !== undefined) {
        await showPage(run, html, open, out)
        continue
      }
      if (events) for await (const event of runEvents(dir)) await out.jsonLine(event)
      else if (out.json)
        await out.jsonLine({
          ...runLine(run),
          ...{ first: run.first, last: run.last, first_eval: run.firstEvaluation, eval: run.evaluation, run: run.info },
        })
      else await out.text(runDetails(run, await defaultsFor(run), { all, width: out.columns() }))
    }
  },
  async compare({ runs, root }, { out }) {
    const compared = (await foldersOf(runs, root, 2)).map(async (dir) => {
      const { resultStep, ...run } = await readRun(dir)
      return { ...run, curves: await curvesOf(dir), through: resultStep }
    })
    const summaries = await Promise.all(compared)
    const comparison = compareRuns(summaries)
    if (out.json) return out.jsonLine(comparison)
    const known = (await Promise.all(summaries.map(defaultsFor))).map((defaults) => new Set(Object.keys(defaults)))
    const isShared = (key: string) => known.every((keys) => keys.size === 0 || keys.has(key))
    await out.text(comparisonText(comparison, { width: out.columns(), isShared }))
  },
  async resume({ runs, root }, { out }) {
    const [dir] = await foldersOf(runs, root, 1, 1)
    const { info } = await readRun(dir)
    const { method } = info
    const key = methodOf(dir, info)
    const [{ trainCommand }, { checkSettings }] = await Promise.all([import('./train.ts'), import('../settings.ts')])
    const { schema, prepare, run } = await trainCommand(key)
    const config = await prepare!({ output: dir, resume: true })
    await run(checkSettings(schema, config), { out, argv: [method, '--output', dir, '--resume'] })
  },
  async push({ runs, root, to }, { out }) {
    const [dir] = await foldersOf(runs, root, 1, 1)
    if (to === undefined)
      throw badInput('bad-flag', 'must name the repository to push to, OWNER/NAME', { flag: '--to' })
    const [{ hubTarget, prepareRepo }, { pushRun }, { makeReporter }] = await Promise.all([
      import('../../checkpoint/hubUpload.node.ts'),
      import('../../publish/push.ts'),
      import('../reporter.ts'),
    ])
    const target = await hubTarget(to, '--to')
    await prepareRepo(target)
    const report = makeReporter(out.screen, { logEvery: 1 })
    const upload = pushRun(target, dir)
    let step = await upload.next()
    for (; !step.done; step = await upload.next()) report.show(step.value)
    report.clear()
    if (out.json) await out.jsonLine({ pushed: dir, hub: step.value })
    else await out.text(`uploaded to ${step.value}`)
  },
  async delete({ runs, root, yes }, { out }) {
    const dirs = await foldersOf(runs, root, 1)
    const what = `delete ${plural(dirs.length, 'run')} with models and checkpoints (${dirs.map(shortPath).join(', ')})`
    if (!(await confirmed(yes, what))) return void out.screen.write('nothing deleted\n')
    for (const dir of dirs) {
      await deleteRun(dir)
      if (out.json) await out.jsonLine({ deleted: dir })
      else await out.text(`deleted ${dir}`)
    }
  },
}

/** None for a run.json of another program. */
const ifRun = (dir: string): Promise<RunSummary[]> =>
  readRun(dir).then(
    (run) => [run],
    (error) => {
      if (error instanceof Fault && error.code === 'bad-run') return []
      throw error
    },
  )

const noRuns = (root: string) =>
  root === runsRoot
    ? `no runs in ${root} or elsewhere below this folder; --root DIR looks in another folder`
    : `no runs in ${root}`

/** The name of a run by which the other actions find it. */
const nameFor = ({ name, dir }: Pick<RunSummary, 'name' | 'dir'>, root: string) =>
  dirname(dir) === resolve(root) ? name : shortPath(dir)

/** Writes the page of a run, and opens it in a browser where one can be seen. */
const showPage = async ({ dir, info }: RunSummary, file: string | undefined, open: boolean, out: Output) => {
  const [{ writeRunPage }, { defaultsOf }, { openInBrowser }] = await Promise.all([
    import('../../recipes/trainer/runPage.ts'),
    import('../../recipes/trainer/defaults.ts'),
    import('../browser.ts'),
  ])
  const page = await writeRunPage(dir, { defaults: defaultsOf(await methods[methodOf(dir, info)].schema()) }, file)
  const opened = open && !out.json && (await openInBrowser(page))
  if (out.json) await out.jsonLine({ name: basename(dir), dir, page })
  else await out.text(`${shortPath(page)}${opened ? ', opened in the browser' : ''}`)
}

/** The default settings of the method; none of one that this version does not have. */
const defaultsFor = async ({ info: { method } }: Pick<RunSummary, 'info'>): Promise<Record<string, unknown>> => {
  const key = methodKeys.find((known) => methods[known].name === method)
  const { defaultsOf } = await import('../../recipes/trainer/defaults.ts')
  return key === undefined ? {} : defaultsOf(await methods[key].schema())
}

const methodOf = (dir: string, { method }: RunInfo): MethodKey => {
  const key = methodKeys.find((known) => methods[known].name === method)
  if (key === undefined)
    throw badInput('bad-run', `was made by ${method}, which this version does not have`, { file: dir })
  return key
}

const foldersOf = async (runs: readonly string[], root: string, least: number, most = Number.POSITIVE_INFINITY) => {
  if (runs.length < least || runs.length > most)
    throw badInput(
      'bad-flag',
      `${runs.length} runs are named; this action takes ${least}${most === least ? '' : ' or more'}`,
    )
  return Promise.all(runs.map((name) => requireRun(name, root)))
}

const runLine = ({ name, dir, state, steps, totalSteps, last, change, info, result }: RunSummary) => ({
  name,
  dir,
  method: info.method,
  state,
  steps,
  total_steps: totalSteps,
  loss: last.loss,
  reward: last.reward,
  change,
  created: info.created,
  model: info.config.model,
  result: result?.path,
})
