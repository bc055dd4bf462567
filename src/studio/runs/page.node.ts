/** What the page of a run shows beside its curves: figures, warnings, settings, checkpoints, phases, and what to do next. */
import { join } from 'node:path'
import { methodKeys, methods } from '../../recipes/methods.ts'
import { defaultsOf } from '../../recipes/trainer/defaults.ts'
import { headlineText, heldAccuracy } from '../../recipes/trainer/headline.ts'
import { nextCommands } from '../../recipes/trainer/nextCommands.ts'
import { isExplained, labelOf, noteOf, shownMetrics } from '../../recipes/trainer/runCharts.ts'
import { hasChatTemplate } from '../../recipes/trainer/runPage.ts'
import { flagOf, settingsOf, settingText } from '../../recipes/trainer/settingsText.ts'
import { endsOf } from '../../runs/curves.ts'
import { resultOf } from '../../runs/find.node.ts'
import { resultStep } from '../../runs/resultStep.ts'
import type { RunInfo } from '../../runs/run.node.ts'
import { plural, shellWord, whole } from '../../util/format.ts'
import { visible } from '../../util/quote.ts'
import type { MetricFigures, MetricInfo, RunPage, RunWarning, Setting } from './api.ts'
import { axesOf } from './curves.ts'
import type { LogIndex } from './logIndex.node.ts'
import { changeIn, judgingFacts, thinnedCurves } from './row.ts'
import { type OpenRun, shownFolder } from './store.node.ts'

export const pageOf = async (root: string, { dir, info, log, row, foreign }: OpenRun): Promise<RunPage> => {
  const curves = thinnedCurves(log)
  const marks = log.marks.filter(({ event }) => event === 'warning' || event === 'end').slice(-2000)
  const events = await log.read(marks)
  const through = await resultStepOf({ log, info })
  // Of the whole log: means of thinned curves would be others
  const change = changeIn(log, { ...judgingFacts(info), through })
  const heldRows = typeof info.eval_rows === 'number' ? info.eval_rows : undefined
  const headline = change && headlineText(change, info.method, { accuracy: heldAccuracy(curves, through), heldRows })
  const over = row.state !== 'running'
  const hasEnded = row.state === 'done'
  const result = await resultOf(dir)
  return {
    ...{ row, folder: shownFolder(root, dir), headline: headline?.text, note: headline?.note },
    ...{ metrics: metricsOf(log), figures: figuresOf(curves), warnings: warningsOf(events, foreign?.problem) },
    settings: shownSettings(info, await defaultsOfMethod(info.method)),
    facts: factsOf(info),
    checkpoints: log.marks
      .filter(({ event }) => event === 'checkpoint')
      .slice(-1000)
      .map(({ step }) => ({ step, path: join('checkpoints', `step-${step}`) })),
    resumes: info.resumes.map(({ at, step }) => ({ at, step })),
    phases: phasesOf(log),
    axes: axesOf(log, info),
    command: info.command.map(shellWord).join(' '),
    next: foreign
      ? []
      : nextCommands({
          ...{
            method: info.method,
            folder: shellWord(shownFolder(root, dir)),
            config: info.config,
            places: info.places,
          },
          ...{ interrupted: !hasEnded || !result, chats: await hasChatTemplate(info) },
        }),
    damaged: log.damaged,
    can: foreign
      ? { stop: false, resume: false, delete: false }
      : { stop: !over, resume: over && !hasEnded, delete: over },
    events: log.marks.length,
  }
}

/** The step whose weights the result has; undefined while there is none. */
export const resultStepOf = async ({ log, info }: Pick<OpenRun, 'log' | 'info'>): Promise<number | undefined> => {
  const [end] = await log.read(log.marks.filter(({ event }) => event === 'end').slice(-1))
  return end && resultStep(end, info.config)
}

const progress = /^(?:epoch|num_tokens|seconds|tokens_per_second|iteration|rollout|update|learning_rate|peak_memory)$/
const hidden = new Set(['step', 'total_steps'])

export const metricsOf = ({ steps, evaluations }: Pick<LogIndex, 'steps' | 'evaluations'>): MetricInfo[] => {
  const trained = new Set(steps.names())
  const held = new Set(evaluations.names().map((name) => name.replace(/^eval_/, '')))
  const all = [...new Set([...trained, ...held])].filter((name) => !hidden.has(name))
  const groupOf = (name: string): MetricInfo['group'] => {
    if (name.startsWith('time/')) return 'time'
    if (progress.test(name)) return 'progress'
    return isExplained(name) ? 'main' : 'more'
  }
  const place = new Map(shownMetrics(new Map(all.map((name) => [name, []]))).map((name, i) => [name, i]))
  return all
    .map((name) => ({
      ...{ name, label: labelOf(name), note: noteOf(name), group: groupOf(name) },
      ...{ trained: trained.has(name), heldOut: held.has(name) },
    }))
    .sort((a, b) => (place.get(a.name) ?? all.length) - (place.get(b.name) ?? all.length))
}

const figuresOf = (curves: ReturnType<typeof thinnedCurves>): MetricFigures[] =>
  shownMetrics(curves).map((name) => {
    const values = (curves.get(name) ?? []).map(([, value]) => value)
    const { first, last } = endsOf(curves.get(name))
    const { first: heldFirst, last: heldLast } = endsOf(curves.get(`eval_${name}`))
    // A thousand values at most, so they can be arguments
    const extremes = values.length ? { least: Math.min(...values), most: Math.max(...values) } : {}
    return { name, label: labelOf(name), first, last, ...extremes, heldFirst, heldLast }
  })

/** Each code once, with its last message: what is counted to the end has its whole count there. */
const warningsOf = (
  events: readonly { event: string; [field: string]: unknown }[],
  problem: string | undefined,
): RunWarning[] => {
  const last = new Map(events.filter(({ event }) => event === 'warning').map((event) => [String(event.code), event]))
  const given = [...last].map(([code, { message, count }]) => ({
    code,
    message: visible(String(message)),
    ...(typeof count === 'number' && { count }),
  }))
  return problem === undefined ? given : [{ code: 'files', message: visible(problem) }, ...given]
}

/** The default settings of a method; none of one that this version does not have. */
export const defaultsOfMethod = async (method: string): Promise<Record<string, unknown>> => {
  const key = methodKeys.find((known) => methods[known].name === method)
  return key === undefined ? {} : defaultsOf(await methods[key].schema())
}

const shownSettings = (info: RunInfo, defaults: Record<string, unknown>): Setting[] =>
  settingsOf(info, defaults).map(({ key, value, usual, isDefault }) => ({
    ...{ key, name: flagOf(key), value: settingText(value), default: settingText(usual), isDefault },
  }))

const factsOf = (info: RunInfo): [string, string][] => {
  const { rows, eval_rows, parameters, trainable, adapter, objective, plan, engine, versions, machine, dropped } = info
  const lost = Object.entries((dropped ?? {}) as Record<string, number>)
  const known: [string, unknown][] = [
    ['Objective', objective],
    ['Rows', rows === undefined ? undefined : whole(Number(rows))],
    ['Rows left out', lost.length ? lost.map(([why, n]) => `${plural(n, 'row')}: ${why}`).join('; ') : undefined],
    ['Held-out rows', eval_rows === undefined ? undefined : whole(Number(eval_rows))],
    ['Parameters', parameters === undefined ? undefined : whole(Number(parameters))],
    ['Trained', trainable === undefined ? undefined : whole(Number(trainable))],
    ['Adapter', adapter ? `LoRA, rank ${(adapter as { r: number }).r}` : undefined],
    ['Memory plan', plan],
    ['Engine', engine && `${engine.provider}, ${plural(engine.threads, 'thread')}, ${engine.version}`],
    ['Machine', machine.cpu && `${machine.cpu}, ${machine.cores} cores`],
    [
      'Versions',
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
  ]
  return known.filter(([, value]) => value !== undefined && value !== '').map(([name, value]) => [name, String(value)])
}

/** Sums of what each step took. */
const phasesOf = ({ steps }: LogIndex): RunPage['phases'] => {
  const sum = (name: string) =>
    steps.column(name)!.reduce((total, value) => total + (Number.isFinite(value) ? value : 0), 0)
  return steps
    .names()
    .filter((name) => name.startsWith('time/'))
    .map((name) => ({ name: name.slice('time/'.length), seconds: sum(name) }))
    .sort((a, b) => b.seconds - a.seconds)
}
