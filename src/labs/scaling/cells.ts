/** The cells of a study: one training each, with the cells that it needs and the result that it leaves. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readSealed, writeJson } from '../../report/files.node.ts'
import type { Share } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import { assert } from '../../util/fault.ts'
import { methods, ratesOf } from './methods.ts'
import type { Extent, Method, Plan } from './settings.ts'

type CellOf<Kind extends string, More = unknown> = {
  id: string
  kind: Kind
  hidden: number
  seed: number
  /** FLOPs of its own training. */
  budget: number
  needs: readonly string[]
} & More

/** A learning rate on trial, on a seed of which nothing is reported. */
export type RateCell = CellOf<'rate', { rate: number }>
/** One size trained with one budget, at the learning rate that did best. */
export type LawCell = CellOf<'law'>
/** The weights from which every method goes on. */
export type StartCell = CellOf<'start'>
/** The model that completes prompts for others. */
export type HelperCell = CellOf<'helper'>
/** A method's settings on trial. */
export type TrialCell = CellOf<'trial', { method: Method; rate: number; beta: number }>
/** A method with the settings that did best. */
export type MethodCell = CellOf<'method', { method: Method }>

export type Cell = RateCell | LawCell | StartCell | HelperCell | TrialCell | MethodCell

/** On held-out sums: nats per token of the right completions, and the share that greedy decoding completes exactly. */
export type Grade = { loss: number; exact: Share }

export type CellResult = {
  id: string
  kind: Cell['kind']
  method?: Method
  hidden: number
  layers: number
  seed: number
  budget: number
  rate: number
  beta?: number
  parameters: number
  /** Weights of the blocks' matrix products, from which operations are counted. */
  blocks: number
  steps: number
  /** Operations that it took, without embedding and logit layers: its own, and those of its helper model. */
  flops: number
  helperFlops: number
  /** On the sums that settings are chosen by. */
  chosenBy: Grade
  /** On the sums that are reported; of trials nothing is reported. */
  reported?: Grade
  seconds: number
}

/** Seeds of trials: none of those that are reported. */
export const tuningSeed = (i: number) => 1001 + i

const number = (x: number) => Number(x.toPrecision(6)).toString()

export const startId = (hidden: number, seed: number) => `start-h${hidden}-s${seed}`
export const helperId = (seed: number) => `helper-s${seed}`
const rateId = (hidden: number, rate: number, seed: number) => `rate-h${hidden}-lr${number(rate)}-s${seed}`
const trialId = (method: Method, hidden: number, rate: number, beta: number, seed: number) =>
  `trial-${method}-h${hidden}-lr${number(rate)}${methods[method].beta ? `-b${number(beta)}` : ''}-s${seed}`

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

/** All cells, each after those that it needs; of each kind the longest first, so that no core idles at the end. */
export const cellsOf = (plan: Plan, { seeds, comparisonSeeds, methods: asked }: Extent): Cell[] => {
  const trialSeeds = upTo(plan.tuningSeeds).map((i) => tuningSeed(i - 1))
  const { comparison } = plan
  const compared = asked.some((method) => method !== 'sft') ? asked : []
  const sizes = new Set([...plan.sizes, ...(compared.length ? [...comparison.sizes, comparison.helper.hidden] : [])])
  const most = plan.budgets.at(-1)!
  const rates = [...sizes].flatMap((hidden) =>
    trialSeeds.flatMap((seed) =>
      plan.learningRates.map(
        (rate): RateCell => ({
          id: rateId(hidden, rate, seed),
          kind: 'rate',
          hidden,
          seed,
          budget: most,
          rate,
          needs: [],
        }),
      ),
    ),
  )
  const ratesFor = (hidden: number) => rates.filter((cell) => cell.hidden === hidden).map(({ id }) => id)
  const laws = plan.budgets.toReversed().flatMap((budget) =>
    plan.sizes.flatMap((hidden) =>
      upTo(seeds).map((seed): LawCell => {
        const id = `law-h${hidden}-c${budget.toExponential()}-s${seed}`
        return { id, kind: 'law', hidden, seed, budget, needs: ratesFor(hidden) }
      }),
    ),
  )
  const allSeeds = compared.length ? [...trialSeeds, ...upTo(comparisonSeeds)] : []
  const starts = allSeeds.flatMap((seed) =>
    comparison.sizes.map(
      (hidden): StartCell => ({
        id: startId(hidden, seed),
        kind: 'start',
        hidden,
        seed,
        budget: comparison.startBudget,
        needs: ratesFor(hidden),
      }),
    ),
  )
  const { helper } = comparison
  const helpers = compared.some((method) => methods[method].helped)
    ? allSeeds.map(
        (seed): HelperCell => ({
          id: helperId(seed),
          kind: 'helper',
          hidden: helper.hidden,
          seed,
          budget: helper.budget,
          needs: ratesFor(helper.hidden),
        }),
      )
    : []
  const before = (method: Method, hidden: number, seed: number) => [
    startId(hidden, seed),
    ...(methods[method].helped ? [helperId(seed)] : []),
  ]
  const trials = compared.flatMap((method) =>
    comparison.sizes.flatMap((hidden) =>
      trialSeeds.flatMap((seed) =>
        ratesOf(method, comparison).flatMap((rate) =>
          (methods[method].beta ? comparison.betas : [1]).map((beta): TrialCell => {
            const id = trialId(method, hidden, rate, beta, seed)
            const needs = before(method, hidden, seed)
            return { id, kind: 'trial', method, hidden, seed, budget: comparison.budget, rate, beta, needs }
          }),
        ),
      ),
    ),
  )
  const trialsOf = (method: Method, hidden: number) =>
    trials.filter((cell) => cell.method === method && cell.hidden === hidden).map(({ id }) => id)
  const runs = compared.flatMap((method) =>
    comparison.sizes.flatMap((hidden) =>
      upTo(comparisonSeeds).map((seed): MethodCell => {
        const own = trialsOf(method === 'sft-slow' ? 'spin' : method, hidden)
        const needs = [...before(method, hidden, seed), ...own]
        return {
          id: `${method}-h${hidden}-s${seed}`,
          kind: 'method',
          method,
          hidden,
          seed,
          budget: comparison.budget,
          needs,
        }
      }),
    ),
  )
  return [...rates, ...starts, ...helpers, ...trials, ...laws, ...runs]
}

type Results = ReadonlyMap<string, CellResult>

/** Of these results those with the lowest loss, its logarithm averaged over their seeds. */
const leastLoss = (results: readonly CellResult[], keyOf: (result: CellResult) => string): CellResult => {
  const losses = new Map<string, number[]>()
  for (const result of results) {
    const key = keyOf(result)
    const { loss } = result.chosenBy
    // One that diverged is never chosen
    losses.set(key, [...(losses.get(key) ?? []), Number.isFinite(loss) ? Math.log(loss) : Number.POSITIVE_INFINITY])
  }
  const [best] = [...losses].sort(([, a], [, b]) => mean(a) - mean(b))
  const found = results.find((result) => keyOf(result) === best?.[0])
  assert(found, 'trials are finished before what they decide')
  return found
}

/** The learning rate that did best for a size. */
export const chosenRate = (results: Results, hidden: number): number =>
  leastLoss(
    [...results.values()].filter((result) => result.kind === 'rate' && result.hidden === hidden),
    ({ rate }) => `${rate}`,
  ).rate

/** The learning rate and beta that did best for a method. */
export const chosenSettings = (results: Results, method: Method, hidden: number): { rate: number; beta: number } => {
  const own = [...results.values()].filter(
    (result) => result.kind === 'trial' && result.method === method && result.hidden === hidden,
  )
  const { rate, beta = 1 } = leastLoss(own, (result) => `${result.rate} ${result.beta}`)
  return { rate, beta }
}

const resultsDir = (root: string) => join(root, 'cells')

export const writeResult = (root: string, result: CellResult) =>
  writeJson(join(resultsDir(root), `${result.id}.json`), result)

/** The results of finished cells by id. A result that is damaged is left out, so its cell is trained again. */
export const readResults = async (root: string): Promise<Map<string, CellResult>> => {
  const names = await readdir(resultsDir(root)).catch(() => [])
  const results = await Promise.all(
    names.filter((name) => name.endsWith('.json')).map((name) => readSealed(join(resultsDir(root), name))),
  )
  const intact = results.filter((result) => result !== undefined) as CellResult[]
  return new Map(intact.map((result) => [result.id, result]))
}
