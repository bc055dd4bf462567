/**
 * Self-play (SPIN, arXiv 2401.01335; aSFT; T-SPIN): in each iteration the model answers, and then learns to rank the data
 * above its own answers. Peculiar: the snapshot that it plays against is no second model but what is written before
 * training begins: its answers and their log-probs. Every phase leaves its files in the run's folder, and a resumed run
 * goes on in the phase where it was stopped.
 */

import type { Completion, Text } from '../../data/rows.ts'
import { type LengthSettings, openTokenization } from '../../generate/tokenization.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import type { EndEvent } from '../../runs/events.ts'
import { beginning, type Progress } from '../../train/loop.ts'
import { restoreState } from '../../train/state.ts'
import { exampleStream } from '../../train/stream.ts'
import { badInput } from '../../util/fault.ts'
import { requireDiskSpace, resumeTraining } from '../trainer/checkpoints.ts'
import { openDataset, requireKnownIds, splitRows, surveyRows, unreadWarnings } from '../trainer/dataset.ts'
import { rankedObjective } from '../trainer/objectives.ts'
import { openPolicy, type PolicySettings, planFor } from '../trainer/policy.ts'
import { type Body, recipe } from '../trainer/recipe.ts'
import { finishRun } from '../trainer/result.ts'
import { asftSchema, spinSchema } from '../trainer/schema.ts'
import { startEvent } from '../trainer/trainer.ts'
import { type HelperSettings, helperColumns, openHelperModels } from './helperModels.ts'
import { laterSteps, runIteration, type SelfPlayContext, type SelfPlaySettings } from './iteration.ts'
import { type GivenCompletion, type GivenCompletions, givenCompletions, type SelfPlayRows } from './rows.ts'
import { valueAt } from './training.ts'

type Config = SelfPlaySettings &
  HelperSettings &
  PolicySettings &
  Parameters<typeof resolveModel>[0] &
  LengthSettings & { stopMargin: boolean }

const selfPlay = async function* (
  config: Config,
  { signal, own, run }: Parameters<Body<typeof spinSchema>>[1],
): ReturnType<Body<typeof spinSchema>> {
  // data
  const folders = await resolveModel(config)
  const columns = helperColumns(config.helper)
  const data = own(await openDataset('answered', config, { beside: columns }))
  const parts = splitRows(data, config)
  const rows: SelfPlayRows = { ...parts.train, name: 'train' }
  const evalRows: SelfPlayRows | undefined = parts.evalRows && { ...parts.evalRows, name: 'held' }
  if (config.stopMargin && !evalRows)
    throw badInput('bad-flag', 'needs rows that are not trained on: give --eval-data or --eval-split', {
      flag: '--stop-margin',
    })
  // model
  const policy = own(await openPolicy(config, folders))
  const tokenization = await openTokenization(folders, policy.pretrained, config)
  const helpers = await openHelperModels(config, { own, tokenization, runDir: run.dir })
  const play: SelfPlayContext = {
    ...{ settings: config, run, policy, signal, tokenization, rows, evalRows, own },
    helpers,
    loss: (iteration) => objective(config, iteration),
  }
  // where it begins
  const begin = await resumeTraining(run, config.resume, policy)
  yield* begin.warnings
  const streams = { train: givenStream(play, rows), eval: evalRows && givenStream(play, evalRows) }
  yield* surveyRows([streams.train, streams.eval], signal)
  const { examples: first } = await streams.train.take(0, 8 * config.batchSize)
  const total = laterSteps(config, 0, rows.length)
  await requireDiskSpace(run, policy, config, total - begin.progress.step, false)
  if (!begin.state) policy.plan = planFor(policy, config.memory, sizesOf(config, first))
  const files = [...data.rows.files, ...(data.evalRows?.files ?? [])]
  const dropped = { train: data.rows.dropped, eval: data.evalRows?.dropped ?? {} }
  const started = { ...streams, dropped, files }
  const models = { ...policy, files: [...policy.files, ...helpers.files] }
  yield await startEvent({ policy: models, examples: started }, begin.progress.step, total)
  if (!begin.state) yield* unreadWarnings([data.rows, data.evalRows])
  if (begin.state) await restoreState(policy.backend, policy.arenas, begin.state.file)
  // iterations
  let iteration = begin.iteration ?? { number: 1, start: 0 }
  let progress: Progress = begin.state ? { ...begin.progress, step: begin.progress.step - iteration.start } : beginning
  let stopped: EndEvent['stopped'] = 'done'
  for (;;) {
    const played = yield* runIteration(play, iteration, progress)
    progress = played.progress
    const { evaluation } = played
    const vanished =
      config.stopMargin && Number(evaluation?.eval_margin_low) <= 0 && Number(evaluation?.eval_margin_high) >= 0
    stopped = played.stopped ?? (vanished ? 'converged' : 'done')
    if (stopped !== 'done' || iteration.number >= config.iterations) break
    iteration = { number: iteration.number + 1, start: iteration.start + progress.step }
    progress = { ...beginning, num_tokens: progress.num_tokens }
  }
  const whole = { ...progress, step: iteration.start + progress.step }
  yield await finishRun({ policy, settings: config, run }, { progress: whole, stopped })
}

/** Rows with the answers that are given, to be looked at before anything is made. */
const givenStream = ({ tokenization, helpers }: SelfPlayContext, rows: SelfPlayRows) =>
  exampleStream<Completion, GivenCompletions>({
    ...{ length: rows.length, row: rows.row, where: rows.where, epochs: 1, order: (position) => position },
    example: (row) => {
      const given = [{ answer: row.completion }, ...Object.values(row.beside ?? {}).map(asGiven)]
      const made = givenCompletions(tokenization, row, given)
      const ids = typeof made === 'string' ? [] : [made.prompt, ...made.replies]
      requireKnownIds(row, ids, tokenization)
      for (const helper of helpers.list) helper.requirePrompt?.(row)
      return made
    },
    truncated: () => false,
    keeps: 0,
  })

const asGiven = (answer: Text): GivenCompletion => ({ answer })

/** Of the largest micro-batch: own answers are as long as they may get. */
const sizesOf = (config: Config, first: readonly GivenCompletions[]) => {
  const B = config.batchSize
  const K = 2 + config.helper.length + Number(config.historic)
  const T = Math.max(
    ...first.map(({ prompt, replies }) => prompt.length + replies.reduce((n, { length }) => n + length, 0)),
  )
  return { N: B * (T + (K - 1) * config.maxNewTokens), B, T: T + (K - 1) * config.maxNewTokens }
}

const objective = ({ beta, triplet }: Config, iteration: number) =>
  rankedObjective({
    losses: [{ name: 'plackett-luce', weight: 1 }],
    options: { beta: valueAt(beta, iteration) },
    reference: triplet === undefined,
    ...{ lists: true, prob: false, prompts: false, historic: triplet },
  })

export const spin = recipe(
  'spin',
  {
    summary: 'self-play: learn to tell the data from answers of the last snapshot (SPIN, T-SPIN)',
    example: 'attune spin --model HuggingFaceTB/SmolLM2-135M --data chats.jsonl --lora-r 16 --output runs/spin',
  },
  spinSchema,
  (config, context) => {
    const triplet = config.loss === 't-spin' ? config.historicWeight : undefined
    return selfPlay({ ...config, helper: [], triplet, historic: config.historic || triplet !== undefined }, context)
  },
)

export const asft = recipe(
  'asft',
  {
    summary: "self-play with help: the data, then helpers' answers, then the last snapshot's (aSFT)",
    example: 'attune asft --model HuggingFaceTB/SmolLM2-135M --data chats.jsonl --helper runs/large --output runs/asft',
  },
  asftSchema,
  (config, context) => selfPlay(config, context),
)
