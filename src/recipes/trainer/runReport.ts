/** The report of a run as an HTML page: what became better, curves, samples, warnings, settings, files, what to type next. */

import { type Html, html, raw } from '../../report/html.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import { curvesIn, endsOf } from '../../runs/curves.ts'
import type { RunSummary } from '../../runs/find.node.ts'
import type { LoggedEvent } from '../../runs/log.node.ts'
import { beganFrom } from '../../runs/modelName.node.ts'
import { resultStep, resultStepText } from '../../runs/resultStep.ts'
import { formatNumber, plural, shellWord, whole } from '../../util/format.ts'
import { headlineOf } from './headline.ts'
import { nextCommands, placeholdersText } from './nextCommands.ts'
import { isExplained, labelOf, runCharts, shownMetrics } from './runCharts.ts'
import { longestSample, type Samples } from './samples.ts'
import { flagOf, settingsOf, settingText } from './settingsText.ts'

export type RunFacts = Pick<RunSummary, 'name' | 'info' | 'steps' | 'totalSteps' | 'result'> & {
  state: string
  events: readonly LoggedEvent[]
  defaults: Readonly<Record<string, unknown>>
  /** The tokenizer of the model has a chat template. */
  chats: boolean
  /** What the model wrote before and after the training. */
  beforeAfter?: Samples
  /** The page may link to files of the folder. */
  links: boolean
  /** Names of what the folder holds. */
  files: readonly string[]
}

/** @returns the page */
export const runReport = (run: RunFacts): string =>
  page({
    title: `attune ${[run.info.method, ...nameBeside(run)].join(': ')}`,
    body: [
      header(run),
      warnings(run),
      beforeAndAfter(run),
      curves(run),
      hasBeforeAndAfter(run) && !hasRewards(run) ? undefined : samples(run),
      numbers(run),
      next(run),
      settings(run),
      files(run),
      footer(run),
    ].filter((part) => part !== undefined),
  })

/** The name of the run, where it is not that of the method. */
const nameBeside = ({ info, name }: RunFacts): string[] => (name === info.method ? [] : [name])

const states: Readonly<Record<string, string>> = {
  done: 'done',
  interrupted: 'stopped before its end; it can be resumed',
  patience: 'ended early, since evaluations got no better',
  converged: 'ended early: nothing was left to learn from',
  'kl-budget': 'ended early, with its KL budget spent',
  running: 'still running',
  'broken off': 'broken off; it can be resumed',
}

const header = (run: RunFacts): Html => {
  const { info, state, steps, totalSteps } = run
  const rows = info.rows === undefined ? '' : ` on ${plural(Number(info.rows), 'row')}`
  const held = info.eval_rows === undefined ? '' : `, with ${whole(Number(info.eval_rows))} held out`
  const end = endOf(run)
  const ofSteps = steps === totalSteps ? plural(steps, 'step') : `${whole(steps)} of ${plural(totalSteps, 'step')}`
  const curves = curvesIn(run.events)
  const headline = headlineOf(curves, info.method, {
    through: end && resultStep(end, info.config),
    heldRows: info.eval_rows === undefined ? undefined : Number(info.eval_rows),
    bestMetric: info.config.bestMetric,
  })
  return html`<header>
<p class="kicker">attune ${[info.objective ? `${info.method}, ${info.objective}` : info.method, ...nameBeside(run)].join(' · ')}</p>
<h1>${headline?.text ?? 'No step was made yet'}</h1>
<p class="lead">${capital(beganFrom(info))} after ${ofSteps}${rows}${held}: ${trained(run)}.
The run is ${states[state] ?? state}.${bestStep(run)}${headline?.note ? ` ${headline.note}` : ''}</p>
</header>`
}

/** Only words of ours: a model's name stays as it is. */
const capital = (text: string): string => text.replace(/^(the|a) /, (word) => word[0].toUpperCase() + word.slice(1))

const endOf = ({ events }: RunFacts) => events.findLast(({ event }) => event === 'end')

/** Where the result has the weights of an earlier step. */
const bestStep = (run: RunFacts): string => {
  const text = resultStepText(endOf(run) ?? {}, run.info.config)
  return text === undefined ? '' : ` The result has the weights of ${text}.`
}

const trained = ({ info }: RunFacts): string => {
  const { trainable, parameters, adapter } = info as {
    trainable?: number
    parameters?: number
    adapter?: { r: number }
  }
  if (trainable === undefined || parameters === undefined) return 'its weights were trained'
  return adapter
    ? `a LoRA adapter of rank ${adapter.r} was trained, ${whole(trainable)} numbers beside ${whole(parameters - trainable)} parameters`
    : `${trainable === parameters ? 'all' : `${whole(trainable)} of`} ${whole(parameters)} parameters were trained`
}

/** Each code once, with its last message: what is counted to the end has its whole count there. */
const warnings = ({ events }: RunFacts): Html | undefined => {
  const last = new Map(
    events.filter(({ event }) => event === 'warning').map((warning) => [String(warning.code), warning]),
  )
  if (last.size === 0) return undefined
  return html`<section class="card">
<h3>Worth knowing</h3>
<ul>
${[...last.values()].map(
  ({ code, message, count }) =>
    html`<li>${String(message)}${typeof count === 'number' && count > 1 ? ` (${whole(count)} times)` : ''} <code class="soft">${String(code)}</code></li>`,
)}
</ul>
</section>`
}

const curves = ({ events }: RunFacts): Html | undefined => {
  const { main, more } = runCharts(curvesIn(events))
  if (!main && !more) return undefined
  return html`<section>
<h2>How it went</h2>
${main ?? raw('')}
${more ? html`<details><summary>Further metrics</summary>${more}</details>` : raw('')}
</section>`
}

const hasBeforeAndAfter = ({ beforeAfter }: RunFacts) => beforeAfter?.samples.some(({ after }) => after !== undefined)

const beforeAndAfter = (run: RunFacts): Html | undefined => {
  const { samples = [], none } = run.beforeAfter ?? {}
  if (none) return html`<p class="soft">There are no samples of what the model writes: ${none}.</p>`
  if (!hasBeforeAndAfter(run)) return undefined
  const column = (name: string, completion: string) => html`<div>
<h3 class="${name}">${name}</h3>
<p class="said">${text(completion) || html`<span class="soft">nothing</span>`}</p>
</div>`
  return html`<section>
<h2>Before and after</h2>
<p>What the model wrote before its first step, and what the result writes to the same prompts: the likeliest token each time, ${longestSample} tokens at most.</p>
${samples.map(
  ({ prompt, before, after = '' }) => html`<div class="card">
<p class="said soft">${ending(prompt)}</p>
<div class="beside">${column('before', before)}
${column('after', after)}</div>
</div>`,
)}
</section>`
}

/** Samples that the log has with their rewards say more than the text alone. */
const hasRewards = ({ events }: RunFacts) =>
  events.some(({ event, reward }) => event === 'sample' && reward !== undefined)

const mostSamples = 8

/** Where one prompt was completed more than once: its first and last completion. Else the first and the last samples. */
const samples = ({ events }: RunFacts): Html | undefined => {
  const all = events.filter(({ event }) => event === 'sample')
  if (all.length === 0) return undefined
  const byPrompt = new Map<string, LoggedEvent[]>()
  for (const sample of all)
    byPrompt.set(String(sample.prompt), [...(byPrompt.get(String(sample.prompt)) ?? []), sample])
  const repeated = [...byPrompt.values()]
    .map((group) => [group[0], group.at(-1)!])
    .filter(([first, last]) => first.step !== last.step)
  const half = mostSamples / 2
  const plain = all.length <= mostSamples ? all : [...all.slice(0, half), ...all.slice(-half)]
  const shown = repeated.length ? repeated.slice(0, half).flat() : plain
  const rewarded = shown.some(({ reward }) => typeof reward === 'number')
  return html`<section>
<h2>What it wrote</h2>
<p>${
    repeated.length
      ? 'Completions of the same prompt, the first and the last of the run.'
      : `${shown.length < all.length ? `The first and the last of ${whole(all.length)} completions` : 'Completions'} that the run logged.`
  }</p>
${table(
  [
    ['step', 'prompt', 'completion', ...(rewarded ? ['reward'] : [])],
    ...shown.map(({ step, prompt, completion, reward }) => [
      String(step),
      text(prompt),
      text(completion),
      ...(rewarded ? [typeof reward === 'number' ? formatNumber(reward) : 'none'] : []),
    ]),
  ],
  ['n', 'wrap', 'wrap', 'n'],
)}
</section>`
}

const longestText = 600
const text = (value: unknown): string => {
  const full = String(value).trim()
  return full.length > longestText ? `${full.slice(0, longestText)}…` : full
}

/** A prompt's question stands at its end. */
const ending = (value: string): string => {
  const full = value.trim()
  return full.length > longestText ? `…${full.slice(-longestText)}` : full
}

/** First and last value of the metrics, in training and on held-out rows. */
const numbers = ({ events }: RunFacts): Html | undefined => {
  const curves = curvesIn(events)
  const names = shownMetrics(curves)
  if (names.length === 0) return undefined
  const held = names.some((name) => curves.has(`eval_${name}`))
  const evaluations = events.filter(({ event }) => event === 'eval').length
  const ends = (name: string) => {
    const { first, last } = endsOf(curves.get(name))
    return [first, last].map((value) => (value === undefined ? '' : formatNumber(value)))
  }
  const metricTable = (some: readonly string[]) =>
    table(
      [
        ['metric', 'first', 'last', ...(held ? ['held out, first', 'held out, last'] : [])],
        ...some.map((name) => [labelOf(name), ...ends(name), ...(held ? ends(`eval_${name}`) : [])]),
      ],
      ['', 'n', 'n', 'n', 'n'],
    )
  const rest = names.filter((name) => !isExplained(name))
  return html`<section>
<h2>In numbers</h2>
<p>${held ? 'First and last value in training, and on rows that were held out from it.' : 'First and last value in training. With --eval-split 0.1 a run also measures rows that it does not learn.'}${held && evaluations === 1 ? ' There was one evaluation only, so there is no first one to compare it with.' : ''}</p>
${metricTable(names.filter(isExplained))}
${rest.length ? html`<details><summary>Further metrics</summary>${metricTable(rest)}</details>` : raw('')}
</section>`
}

const next = ({ info, state, result, chats }: RunFacts): Html => {
  const folder = shellWord(String(info.config.output ?? '.'))
  const interrupted = !result || state === 'interrupted' || state === 'broken off'
  const commands = nextCommands({
    method: info.method,
    folder,
    interrupted,
    chats,
    config: info.config,
    places: info.places,
  })
  const placeholders = placeholdersText(commands)
  return html`<section>
<h2>What to type next</h2>
${shell(commands.join('\n'))}
${placeholders ? html`<p class="soft">${placeholders}.</p>` : ''}
<p class="soft">It was made by:</p>
${shell(info.command.map(shellWord).join(' '))}
</section>`
}

const settings = ({ info, defaults }: RunFacts): Html => {
  const given = settingsOf(info, defaults)
  const changed = given.filter(({ isDefault }) => !isDefault)
  const list = (some: typeof given) =>
    facts(some.map(({ key, value }) => [flagOf(key), settingText(value)] as const).filter(([, text]) => text !== ''))
  return html`<section>
<h2>Settings that are not the defaults</h2>
${list(changed)}
<details><summary>All settings</summary>${list(given)}</details>
</section>`
}

/** What a run's folder may hold, in the order of docs/runs.md. */
const folderContent: Readonly<Record<string, string>> = {
  model: 'the trained model, as transformers loads it',
  adapter: 'the trained adapter, as PEFT loads it',
  'calibration.html': 'can the probabilities of the reward model be believed?',
  'run.json': 'settings, versions, machine, and the hashes of all files that were read',
  'events.jsonl': 'the log: every step, evaluation, sample and warning',
  checkpoints: 'weights and optimizer state, to resume from',
  iterations: 'completions and ranked lists of every iteration',
  'samples.json': 'what the model wrote to a few prompts before and after the training',
  rollouts: 'every sample with its rewards and advantages',
  tb: 'the metrics for TensorBoard',
}

const linked = /\.html$/

const files = (run: RunFacts): Html => {
  const rows = Object.entries(folderContent)
    .filter(([name]) => run.files.includes(name))
    .map(([name, content]) => [run.links && linked.test(name) ? html`<a href="${name}">${name}</a>` : name, content])
  return html`<section>
<h2>Files</h2>
${table([['in the folder of the run', ''], ...rows], ['mono', 'wrap'])}
</section>`
}

const footer = ({ info }: RunFacts): Html => {
  const { versions, machine } = info
  return html`<footer>attune ${String(versions.attune ?? '')} · Node ${String(versions.node ?? '')} · ${String(machine.cpu ?? '')} ·
begun ${info.created.slice(0, 16).replace('T', ' ')} UTC</footer>`
}
