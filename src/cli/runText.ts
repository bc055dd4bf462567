/** What `attune runs` prints: the table of runs, one run, and runs side by side. */
import { changeText, reachedText } from '../recipes/trainer/headline.ts'
import { flagOf, type RunSetting, settingsOf, settingText } from '../recipes/trainer/settingsText.ts'
import type { Comparison } from '../runs/compare.ts'
import type { RunSummary } from '../runs/find.node.ts'
import { formatNumber, plural, shellWord } from '../util/format.ts'
import { columns, commandLines, shortPath, wrapped } from './format.ts'

/** What goes first where the terminal is too narrow for all columns. */
const lessTelling = ['begun', 'method', 'steps']

/** One line a run. @param nameOf the name by which the other actions find it */
export const runTable = (runs: readonly RunSummary[], nameOf: (run: RunSummary) => string, width: number): string => {
  const all: Record<string, string>[] = runs.map((run) => ({
    run: nameOf(run),
    method: run.info.method,
    state: run.state,
    steps: `${run.steps}/${run.totalSteps}`,
    measured: run.change ? reachedText(run.change) : '',
    begun: run.info.created.slice(0, 16).replace('T', ' '),
  }))
  const table = (left: number) => {
    const names = Object.keys(all[0]).filter((name) => !lessTelling.slice(0, left).includes(name))
    return columns([names, ...all.map((row) => names.map((name) => row[name]))], [names.indexOf('steps')])
  }
  for (let left = 0; left < lessTelling.length; left++) if (isWithin(table(left), width)) return table(left)
  return table(lessTelling.length)
}

const isWithin = (text: string, width: number) => text.split('\n').every(({ length }) => length < width)

/** @param defaults of the run's method */
export const runDetails = (
  run: RunSummary,
  defaults: Readonly<Record<string, unknown>>,
  { all, width }: { all: boolean; width: number },
): string => {
  const { name, dir, info, state, steps, totalSteps, change, result } = run
  // The folder stands above
  const settings = settingsOf(info, defaults).filter(({ key, value }) => key !== 'output' && settingText(value) !== '')
  const { given, following, usual } = parted(settings, info.command)
  const fitted = (text: string, indent: number) => wrapped(text, Math.min(width - 1, 100), indent)
  return [
    columns([
      ['run', name],
      ['method', info.objective ? `${info.method}, ${info.objective}` : info.method],
      ['state', `${state}, ${steps} of ${totalSteps} steps`],
      ...(change ? [['measured', fitted(changeText(change), 10)]] : []),
      ['begun', info.created.slice(0, 16).replace('T', ' ')],
      ['folder', shortPath(dir)],
      ['result', result ? shortPath(result.path) : 'none yet'],
      ['command', commandLines(info.command.map(shellWord).join(' '), width, 10).trim()],
    ]),
    changesText('on held-out rows', run.firstEvaluation, run.evaluation),
    changesText('in training, single steps', run.first, run.last),
    settingsText('settings that were given', given, width),
    settingsText('settings that follow from these', following, width),
    all
      ? settingsText('settings that have their defaults', usual, width)
      : usual.length
        ? `${plural(usual.length, 'further setting')} ${usual.length === 1 ? 'has its default' : 'have their defaults'}: --all shows them`
        : '',
  ]
    .filter(Boolean)
    .join('\n\n')
}

type Parted = Record<'given' | 'following' | 'usual', RunSetting[]>

/**
 * Settings that were given, those that are no defaults and follow from them (the adapter of a run that --model names, the threads
 * of a resumed run, the defaults of --like), and defaults. Of a settings file or a program the command does not tell which were
 * given: then all are that are no defaults.
 */
const parted = (settings: readonly RunSetting[], command: readonly string[]): Parted => {
  const tellsAll = command.length > 0 && !command.some((word) => isFlag(word, 'config'))
  const parts: Parted = { given: [], following: [], usual: [] }
  for (const setting of settings) {
    const { key, value, isDefault } = setting
    const isTyped = command.some((word) => isFlag(word, key))
    const typed = key === 'model' ? typedValue(command, key) : undefined
    // A run in the place of a model
    if (typed !== undefined && typed !== value) {
      parts.given.push({ ...setting, value: typed })
      parts.following.push(setting)
    } else if (isTyped || (!isDefault && !tellsAll)) parts.given.push(setting)
    else parts[isDefault ? 'usual' : 'following'].push(setting)
  }
  return parts
}

const typedValue = (command: readonly string[], key: string): string | undefined => {
  const at = command.findIndex((word) => isFlag(word, key))
  if (at < 0) return undefined
  const word = command[at]
  return word.includes('=') ? word.slice(word.indexOf('=') + 1) : command[at + 1]
}

/** --lora-r, --lora-r=8, --no-shuffle */
const isFlag = (word: string, key: string) => {
  const flag = flagOf(key)
  return word === flag || word.startsWith(`${flag}=`) || word === flag.replace('--', '--no-')
}

const settingsText = (title: string, settings: readonly RunSetting[], width: number): string => {
  if (!settings.length) return ''
  const names = settings.map(({ key }) => flagOf(key))
  const indent = Math.max(...names.map(({ length }) => length)) + 4
  const lines = settings.map(
    ({ value }, i) =>
      `  ${names[i].padEnd(indent - 2)}${wrapped(settingText(value), Math.min(width - 1, 100), indent)}`,
  )
  return [title, ...lines].join('\n')
}

/** Numbers that say how far a run is. */
const counters =
  /^(step|total_steps|epoch|num_tokens|seconds|tokens_per_second|learning_rate|iteration|rollout|update|time\/.*)$/

/** First and last values; metrics that are 0 in both are only named. The most telling come first. */
const changesText = (title: string, begin: RunSummary['last'] = {}, last: RunSummary['last'] = {}): string => {
  // What was measured once has no first value: it would read as if nothing had changed
  const first = begin.step === last.step ? {} : begin
  const names = Object.keys(last).filter((key) => !counters.test(key))
  const isZero = (key: string) => last[key] === 0 && first[key] === 0
  const shown = [...names].sort((a, b) => Number(isReward(b)) - Number(isReward(a))).filter((key) => !isZero(key))
  const shortName = (key: string) => key.replace(/^eval_/, '')
  const rows = shown.map((key) => [
    `  ${shortName(key)}`,
    key in first ? formatNumber(first[key]) : '',
    formatNumber(last[key]),
  ])
  const zero = names.filter(isZero).map(shortName)
  return [
    rows.length ? columns([[title, 'first', 'last'], ...rows], [1, 2]) : '',
    zero.length ? `  ${wrapped(`0 at first and at last: ${zero.join(', ')}`, 96, 4)}` : '',
  ]
    .filter(Boolean)
    .join('\n')
}

const isReward = (key: string) => key === 'reward' || key === 'eval_reward'

/**
 * Settings that differ, and metrics, a column a run. Losses that cannot be compared stand apart.
 * @param isShared whether the methods of all runs have a setting
 */
export const comparisonText = (
  { runs, settings, metrics, apart, note }: Comparison,
  { width, isShared }: { width: number; isShared(key: string): boolean },
): string => {
  const { steps, ...measured } = metrics
  const shared = Object.entries(settings).filter(([key]) => key === 'method' || isShared(key))
  const left = Object.keys(settings).length - shared.length
  const names = Object.keys(measured)
  const held = names.filter((name) => name.startsWith('eval_'))
  const trained = names.filter((name) => !name.startsWith('eval_'))
  const numbers = (some: readonly string[]) =>
    some.map((name) => [
      name.replace(/^eval_/, ''),
      ...measured[name].map((value) => (value === undefined ? '-' : formatNumber(value))),
    ])
  const setting = ([key, values]: [string, unknown[]]) => [
    key === 'method' ? key : flagOf(key),
    ...values.map((value) => settingText(value) || '-'),
  ]
  const sentence = (text: string) => wrapped(text, Math.min(width - 1, 100), 0)
  return [
    sideBySide('what differs', runs, [...shared.map(setting), ['steps made', ...(steps ?? []).map(String)]], width),
    left ? sentence(`${plural(left, 'further setting')} ${left > 1 ? 'are' : 'is'} of one method alone.`) : '',
    sideBySide('on held-out rows', runs, numbers(held), width),
    sideBySide('in training, means of the last steps', runs, numbers(trained), width),
    apart
      ? [
          sentence(apart.why),
          ...apart.changes.map((change, i) => {
            const text = `${runs[i]}: ${change ? changeText(change) : 'nothing measured'}`
            return `  ${wrapped(text, Math.min(width - 1, 100), 2)}`
          }),
        ].join('\n')
      : '',
    apart ? sentence('What the models write can be compared: attune compare --help.') : '',
    note ? sentence(note) : '',
  ]
    .filter(Boolean)
    .join('\n\n')
}

/** A table with a column a run; a line for each value where the terminal is too narrow for that. */
const sideBySide = (title: string, runs: readonly string[], rows: readonly string[][], width: number): string => {
  if (!rows.length) return ''
  const table = columns(
    [[title, ...runs], ...rows.map(([name, ...values]) => [`  ${name}`, ...values])],
    runs.map((_, i) => i + 1),
  )
  if (isWithin(table, width)) return table
  const long = Math.max(...runs.map(({ length }) => length))
  const block = ([name, ...values]: string[]) =>
    [`  ${name}`, ...values.map((value, i) => `    ${runs[i].padEnd(long)}  ${value}`)].join('\n')
  return [title, ...rows.map(block)].join('\n')
}
