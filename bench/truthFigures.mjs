/**
 * Plots and tables of the truth runs, from the figures that truthRuns.mjs wrote: `node bench/truthFigures.mjs [DIR] [--page docs/performance.md]`.
 * Differences between forms are of the same held-out rows, with the bootstrap's interval of 95 % over rows.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { smooth } from '../dist/report/lineChart.js'
import { plotChart } from '../dist/report/plot.js'
import { standalone } from '../dist/report/svg.js'
import { makeDraws, meanInterval } from '../dist/statistics/resampling.js'
import { mean } from '../dist/statistics/summary.js'
import { fill, table } from '../docs/figures.mjs'

const methods = { dpo: 'DPO', sft: 'SFT', grpo: 'GRPO' }
const forms = ['untrained', 'fp32', 'int8', 'int8-fast', 'another-seed']
const shownForm = (form) => ({ untrained: 'before training', 'another-seed': 'fp32, another seed' })[form] ?? `\`${form}\``

/** A plot of each metric that training reports. Smoothed, because single steps of small batches jump. */
const plots = {
  'dpo-loss': { method: 'dpo', metric: 'loss', title: 'DPO: the loss of training with products in each form', y: 'loss' },
  'sft-loss': { method: 'sft', metric: 'loss', title: 'SFT: the loss of training with products in each form', y: 'loss' },
  'grpo-reward': { method: 'grpo', metric: 'reward', title: 'GRPO: the mean reward of a step with products in each form', y: 'reward' },
  'grpo-kl': { method: 'grpo', metric: 'kl', title: 'GRPO: KL(policy || reference) with products in each form', y: 'KL, nats a token' },
}

const halfLife = 5

const plotOf = (runs, { metric, title, y }) => ({
  title,
  x: { name: 'step' },
  y: { name: `${y}, smoothed over ${2 * halfLife} steps` },
  series: forms.slice(1).flatMap((form, color) => {
    const values = runs.find((run) => run.form === form)?.steps[metric]
    const points = values?.map((value, i) => [i + 1, value]).filter(([, value]) => value !== null)
    if (!points?.length) return []
    const rounded = smooth(points, halfLife).map(([x, value]) => [x, Number(value.toPrecision(5))])
    return [{ name: form === 'another-seed' ? 'fp32, other seed' : form, points: rounded, color, ...(form === 'another-seed' && { dashed: true }) }]
  }),
})

const draws = makeDraws()
const written = (value) => (Math.abs(value) < 0.01 ? Number(value.toPrecision(2)).toString() : value.toFixed(Math.abs(value) < 1 ? 4 : 3))
const withInterval = ({ value, low, high }) => `${written(value)} (${written(low)} to ${written(high)})`
const sameAs = ({ low, high }) => low <= 0 && high >= 0

/** The difference of a run from the one in fp32, row by row. */
const differenceOf = (run, base, measure) => meanInterval(run.held[measure].map((value, i) => value - base.held[measure][i]), draws)

const tableOf = (runs) => {
  const rows = runs.flatMap((run) => {
    const base = runs.find(({ method, form }) => method === run.method && form === 'fp32')
    return Object.keys(run.held).map((measure) => {
      const difference = base && run !== base ? withInterval(differenceOf(run, base, measure)) : '-'
      return [methods[run.method], shownForm(run.form), measure, withInterval(meanInterval(run.held[measure], draws)), difference]
    })
  })
  return table([['run', 'form', 'of held-out rows', 'mean (95 % interval)', 'difference from fp32 (95 % interval)'], ...rows])
}

/** What the intervals allow to say about a form. */
const sentenceOf = (form, runs) => {
  const parts = runs
    .filter((run) => run.form === form)
    .flatMap((run) => {
      const base = runs.find(({ method, form }) => method === run.method && form === 'fp32')
      if (!base) return []
      const found = Object.keys(run.held).map((measure) => ({ measure, ...differenceOf(run, base, measure) }))
      const apart = found.filter((difference) => !sameAs(difference))
      const rows = run.held[found[0].measure].length
      if (!apart.length) return [`after ${methods[run.method]} not to be told from fp32 on ${rows} held-out rows`]
      return [`after ${methods[run.method]} it differs: ${apart.map((one) => `${one.measure} by ${withInterval(one)}`).join(', ')}`]
    })
  return parts.length ? [`- ${shownForm(form)}: ${parts.join('; ')}.`] : []
}

/** How far the losses of the same step are from those of fp32, which says more than held-out rows can. */
const stepsOf = (runs) =>
  runs.flatMap((run) => {
    const base = runs.find(({ method, form }) => method === run.method && form === 'fp32')
    const [ours, theirs] = [run.steps.loss, base?.steps.loss]
    if (run === base || !ours || !theirs || run.form === 'another-seed') return []
    const apart = ours.map((loss, i) => Math.abs(loss - theirs[i]))
    return [[methods[run.method], shownForm(run.form), written(mean(apart)), written(Math.max(...apart))]]
  })

const samplerOf = (runs) =>
  runs.flatMap(({ method, form, steps }) => {
    const errors = steps['sampling/ratio_error']?.filter((value) => value !== null)
    return errors?.length ? [[methods[method], shownForm(form), errors.length, written(Math.max(...errors))]] : []
  })

const pictureOf = (name) => `![${plots[name].title}](performance/${name}.svg)`

/** @param drawn names of the plots that could be drawn */
const summary = (runs, drawn) => {
  const [near, sampler] = [stepsOf(runs), samplerOf(runs)]
  return [
    ...drawn.map(pictureOf),
    tableOf(runs),
    forms.slice(2).flatMap((form) => sentenceOf(form, runs)).join('\n'),
    ...(near.length ? [table([['run', 'form', 'mean distance of a step\'s loss from fp32', 'largest'], ...near])] : []),
    ...(sampler.length ? [table([['run', 'form', 'rollouts compared', 'largest `sampling/ratio_error`'], ...sampler])] : []),
    ['The commands:', ...runs.filter(({ form }) => form === 'fp32' || form === 'int8').map(({ command }) => `- \`${command}\``)].join('\n'),
  ].join('\n\n')
}

/** Draws the plots beside the figures, and gives the tables. */
export const drawFigures = (dir) => {
  const known = Object.keys(methods).flatMap((method) => forms.map((form) => join(dir, `truth-${method}-${form}.json`)))
  const runs = known.filter(existsSync).map((path) => JSON.parse(readFileSync(path, 'utf8')))
  const drawn = Object.keys(plots).filter((name) => {
    const { method } = plots[name]
    const plot = plotOf(runs.filter((run) => run.method === method), plots[name])
    if (!plot.series.length) return false
    writeFileSync(join(dir, `${name}.json`), `${JSON.stringify(plot)}\n`)
    writeFileSync(join(dir, `${name}.svg`), standalone(plotChart(plot)))
    return true
  })
  return summary(runs, drawn)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { page: { type: 'string' } } })
  const text = drawFigures(positionals[0] ?? fileURLToPath(new URL('../docs/performance', import.meta.url)))
  if (values.page) fill(values.page, text)
  else console.log(text)
}
