/**
 * What a model thinks of texts, a line a row: the log-probability of each token that counts; of a reward model the reward
 * of each reply.
 */

import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { Tree } from '../../data/batch.ts'
import type { Encoder, TextOptions } from '../../data/examples.ts'
import { openRows } from '../../data/openRows.node.ts'
import type { Row } from '../../data/rows.ts'
import { type Scorable, score } from '../../generate/score.ts'
import { openEncoder } from '../../generate/tokenization.node.ts'
import type { Model } from '../../passes/model.ts'
import { openModel } from '../../passes/open.node.ts'
import { type Reward, rewardsOf } from '../../passes/scores.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import { engineFields, quantizeField } from '../../recipes/trainer/schema.ts'
import { plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { figure } from '../format.ts'
import { prepareRows } from '../prepareRows.ts'
import { rewardInput } from '../rewardInputs.ts'
import { scoreInput } from '../scoring.ts'
import { reporter } from '../terminal.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a folder, a hub id or the name of a run'),
  adapter: z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter of that model'),
  quantize: quantizeField,
  data: z.array(z.string()).min(1).meta({ value: 'FILE' }).describe('rows to score; repeatable'),
  completionOnlyLoss: z
    .boolean()
    .default(true)
    .meta({ off: 'the prompt counts too' })
    .describe('of rows with a prompt only the completion counts'),
  assistantOnlyLoss: z.boolean().default(false).describe("of messages only the assistant's turns count"),
  device: engineFields.device,
  threads: engineFields.threads,
})

export default command({
  summary: 'Log-probabilities of completions, texts, conversations or ids with labels; of a reward model, rewards',
  example: 'score --model HuggingFaceTB/SmolLM2-135M --data completions.jsonl --json',
  schema,
  async run(options, { out }) {
    const report = reporter(out.screen, { logEvery: 1 })
    const rows = await openRows(options.data, { resolve: resolveDataset })
    const onProgress = (at: { phase: 'download' | 'load'; done: number; total: number }) =>
      report.show({ event: 'progress', ...at })
    for (const { message } of unreadWarnings([rows])) report.note(message)
    const opened = await openModel({ ...options, head: 'either', onProgress })
    try {
      const encoder = opened.tokenizer ?? (await openEncoder(opened))
      const { model } = opened
      const answers = model.architecture.scores
        ? judged(model, await prepareRows(rows, (row) => judgedOf(model, encoder, row), report))
        : scored(
            model,
            await prepareRows(rows, (row) => scoreInput(encoder, row, limitsOf(model), countsOf(options)), report),
          )
      let done = 0
      for await (const { line, text } of answers) {
        if (out.readable) {
          report.clear()
          await out.text(`row ${done}: ${text}`)
        } else await out.line(line)
        report.show({ event: 'progress', phase: 'score', done: ++done, total: rows.length })
      }
    } finally {
      report.clear()
      await opened.close()
      await rows.close()
    }
  },
})

type Answer = { line: object; text: string }

const limitsOf = ({ config }: Model) => ({ positions: config.max_position_embeddings, vocabulary: config.vocab_size })

const countsOf = ({ assistantOnlyLoss, completionOnlyLoss }: z.output<typeof schema>): TextOptions => ({
  assistantOnly: assistantOnlyLoss,
  completionOnly: completionOnlyLoss,
})

async function* scored(model: Model, asked: AsyncIterable<Scorable>): AsyncGenerator<Answer> {
  for await (const logps of score(model, asked)) {
    const logp = logps.reduce((a, b) => a + b, 0)
    yield { line: { logp, tokens: logps.length, token_logps: logps }, text: readable(logp, logps.length) }
  }
}

/** Rows that are judged together. */
const together = 32

/** `ranked`: a row of several replies. */
type Judged = { tree: Tree; ranked: boolean }

const judgedOf = (model: Model, encoder: Encoder, row: Row): Judged => ({
  tree: rewardInput(encoder, row, limitsOf(model)),
  ranked: row.kind === 'ranking',
})

async function* judged(model: Model, asked: AsyncIterable<Judged>): AsyncGenerator<Answer> {
  let waiting: Judged[] = []
  for await (const each of asked) {
    waiting.push(each)
    if (waiting.length < together) continue
    yield* judgedTogether(model, waiting)
    waiting = []
  }
  if (waiting.length) yield* judgedTogether(model, waiting)
}

async function* judgedTogether(model: Model, asked: readonly Judged[]): AsyncGenerator<Answer> {
  const rewards = await rewardsOf(
    model,
    asked.map(({ tree }) => tree),
  )
  for (const [i, replies] of rewards.entries()) {
    const lines = replies.map(rewardLine)
    yield {
      line: asked[i].ranked ? { rewards: replies.map(({ reward }) => reward), replies: lines } : lines[0],
      text: replies.map(readableReward).join('   '),
    }
  }
}

const rewardLine = ({ reward, sigma, probs }: Reward) => (probs ? { reward, std: sigma, probs } : { reward })

const readableReward = ({ reward, sigma }: Reward) =>
  `reward ${figure(reward)}${sigma === undefined ? '' : ` ± ${figure(sigma)}`}`

const readable = (logp: number, tokens: number): string => {
  const mean = tokens ? `, perplexity ${figure(Math.exp(-logp / tokens))}` : ''
  return `log-probability ${figure(logp)} of ${plural(tokens, 'token')}${mean}`
}
