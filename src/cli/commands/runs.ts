/** `attune runs`: the runs on this machine. */
import { existsSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { z } from 'zod'
import { type MethodKey, methodKeys, methods } from '../../recipes/methods.ts'
import { type Comparison, compareRuns } from '../../runs/compare.ts'
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
import { formatNumber, plural, shellWord } from '../../util/format.ts'
import { type Context, command } from '../command.ts'
import { confirmed } from '../confirm.ts'
import { columns, shortPath, wrapped } from '../format.ts'
import type { Output } from '../output.ts'

const schema = z.object({
  action: z.enum(['list', 'show', 'compare', 'resume', 'push', 'delete']).default('list').describe('the action'),
  runs: z.array(z.string()).default([]).describe('names or folders of runs'),
  root: z.string().default(runsRoot).meta({ value: 'DIR' }).describe('the folder in which runs are found by name'),
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
  example: 'runs compare dpo-1 dpo-2',
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
    else await out.text(found.length ? runTable(found, root) : noRuns(root))
  },
  async show({ runs, root, events, open, html }, { out }) {
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
      else await out.text(runDetails(run))
    }
  },
  async compare({ runs, root }, { out }) {
    const comparison = compareRuns(await Promise.all((await foldersOf(runs, root, 2)).map(readRun)))
    if (out.json) await out.jsonLine(comparison)
    else await out.text(comparisonTable(comparison))
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

const runLine = ({ name, dir, state, steps, totalSteps, last, info, result }: RunSummary) => ({
  name,
  dir,
  method: info.method,
  state,
  steps,
  total_steps: totalSteps,
  loss: last.loss,
  reward: last.reward,
  created: info.created,
  model: info.config.model,
  result: result?.path,
})

const runTable = (runs: readonly RunSummary[], root: string): string =>
  columns(
    [
      ['run', 'method', 'state', 'steps', 'last step', 'begun'],
      ...runs.map(({ info, state, steps, totalSteps, last, ...run }) => [
        nameFor(run, root),
        info.method,
        state,
        `${steps}/${totalSteps}`,
        telling(last),
        info.created.slice(0, 16).replace('T', ' '),
      ]),
    ],
    [3],
  )

/** The reward where there is one: the loss of a policy gradient says nothing. */
const telling = ({ reward, loss }: RunSummary['last']): string => {
  if (reward !== undefined) return `reward ${formatNumber(reward)}`
  return loss === undefined ? '' : `loss ${formatNumber(loss)}`
}

const runDetails = ({
  name,
  dir,
  info,
  state,
  steps,
  totalSteps,
  first,
  last,
  firstEvaluation,
  evaluation,
  result,
}: RunSummary): string => {
  const settings = Object.entries(info.config).map(([key, value]) => [
    key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ])
  return [
    columns([
      ['run', name],
      ['folder', dir],
      ['method', info.objective ? `${info.method}, ${info.objective}` : info.method],
      ['state', `${state}, ${steps} of ${totalSteps} steps`],
      ['begun', info.created],
      ['result', result?.path ?? 'none yet'],
      ['command', info.command.map(shellWord).join(' ')],
    ]),
    changesText('metric', first, last),
    changesText('on held-out rows', firstEvaluation, evaluation),
    columns(settings),
  ]
    .filter(Boolean)
    .join('\n\n')
}

/** First and last values; metrics that are 0 in both are only named. The most telling come first. */
const changesText = (title: string, first: RunSummary['last'] = {}, last: RunSummary['last'] = {}): string => {
  const names = Object.keys(last).filter((key) => key !== 'step' && key !== 'total_steps')
  const isZero = (key: string) => last[key] === 0 && (first[key] ?? 0) === 0
  const shown = [...names].sort((a, b) => Number(isReward(b)) - Number(isReward(a))).filter((key) => !isZero(key))
  const rows = shown.map((key) => [key, key in first ? formatNumber(first[key]) : '', formatNumber(last[key])])
  const zero = names.filter(isZero)
  return [
    rows.length ? columns([[title, 'first', 'last'], ...rows], [1, 2]) : '',
    zero.length ? wrapped(`0 at first and at last: ${zero.join(', ')}`, 96, 2) : '',
  ]
    .filter(Boolean)
    .join('\n')
}

const isReward = (key: string) => key === 'reward' || key === 'eval_reward'

const comparisonTable = ({ runs, settings, metrics }: Comparison): string => {
  const rows = <T>(entries: Record<string, (T | undefined)[]>, shown: (value: T) => string) =>
    Object.entries(entries).map(([name, values]) => [name, ...values.map((v) => (v === undefined ? '-' : shown(v)))])
  const setting = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
  return columns(
    [['', ...runs], ...rows(settings, setting), ...rows(metrics, formatNumber)],
    runs.map((_, i) => i + 1),
  )
}
