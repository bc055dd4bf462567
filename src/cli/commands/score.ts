/**
 * `attune score`: of a language model the log-probabilities of completions, of a reward model their rewards, of an encoder the
 * hidden states of texts; a line per row.
 */

import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { Tree } from '../../data/batch.ts'
import type { EncoderInput } from '../../data/encoderBatch.ts'
import type { TextOptions } from '../../data/examples.ts'
import { openRows } from '../../data/openRows.node.ts'
import { type Scorable, score, uncounted } from '../../generate/score.ts'
import { shareModel } from '../../generate/sharedModel.node.ts'
import { idsOnly, requireTemplate } from '../../generate/tokenization.node.ts'
import { encoderInput, type ModelLimits, rewardInput, scoreInput } from '../../library/scoreInputs.ts'
import { encoderText, hiddenStatesPlan } from '../../passes/hiddenStates.ts'
import type { Model } from '../../passes/model.ts'
import { openModel } from '../../passes/open.node.ts'
import { readPlansOf } from '../../passes/readPasses.ts'
import { type Reward, rewardPlans } from '../../passes/scores.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import { dataFields, workersFields } from '../../recipes/trainer/fields.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { formatNumber, plural } from '../../util/format.ts'
import { inGroups } from '../../util/inGroups.ts'
import { chatField, chatOf } from '../chatFlag.ts'
import { checkedRows } from '../checkedRows.ts'
import { command } from '../command.ts'
import { noteCompute } from '../computeNote.ts'
import { engineFlags, modelFlags } from '../modelFlags.ts'
import { makeReporter } from '../reporter.ts'
import { withWorkers } from '../workers.ts'

const schema = z.object({
  ...modelFlags,
  data: z.array(z.string()).min(1).meta({ value: 'FILE' }).describe('rows to score; repeatable'),
  column: dataFields.column,
  chat: chatField("read plain rows as a chat: a prompt is the user's message and a completion the assistant's"),
  completionOnlyLoss: z
    .boolean()
    .default(true)
    .meta({ off: 'score the prompt too' })
    .describe('of rows with a prompt, score only the completion'),
  assistantOnlyLoss: z.boolean().default(false).describe("of rows with messages, score only the assistant's turns"),
  texts: z.boolean().default(false).describe('of a language model, print the text of each counted token too'),
  hidden: z.boolean().default(false).describe('of an encoder, print the hidden states of each token'),
  ...engineFlags,
  ...workersFields,
})

export default command({
  summary:
    'Log-probabilities of completions, texts, conversations or ids with labels; with a reward model, rewards; with an encoder, hidden states',
  example: 'score --model HuggingFaceTB/SmolLM2-135M --data COMPLETIONS.jsonl --json',
  schema,
  async run(options, { out }) {
    out.noteJsonLines()
    const report = makeReporter(out.screen, { logEvery: 1 })
    const chat = await chatOf(options, report.note)
    const rows = await openRows(options.data, { columns: options.column, chat, resolve: resolveDataset })
    const onProgress = (at: { phase: 'download' | 'load'; done: number; total: number }) =>
      report.show({ event: 'progress', ...at })
    for (const { message } of unreadWarnings([rows])) report.note(message)
    const name = `score ${options.model}`
    await withWorkers(options, { name, note: report.note, screen: out.screen }, async (_, sharing) => {
      const head = options.hidden ? 'encoder' : 'either'
      const opened = await openModel({ ...options, head, onProgress })
      try {
        await noteCompute(opened.model, options.compute, report)
        if (chat) requireTemplate(opened.tokenizer, opened.dir)
        const encoder = opened.tokenizer ?? idsOnly(opened.dir)
        const { quantize, compute } = options
        const { model } = sharing ? shareModel(opened, { quantize, compute, head }, sharing) : opened
        const limits = limitsOf(model)
        const results = options.hidden
          ? hiddenRows(
              model,
              await checkedRows(
                rows,
                (row) => {
                  const input = encoderInput(encoder, row)
                  encoderText(model, input)
                  return input
                },
                report,
              ),
            )
          : model.architecture.scores
            ? rewards(
                model,
                await checkedRows(
                  rows,
                  (row) => ({ tree: rewardInput(encoder, row, limits), ranking: row.kind === 'ranking' }),
                  report,
                ),
              )
            : logProbs(
                model,
                await checkedRows(rows, (row) => scoreInput(encoder, row, limits, textOptions(options)), report),
                options.texts ? opened.tokenizer : undefined,
              )
        let done = 0
        for await (const { line, text } of results) {
          if (out.toTerminal) {
            report.clear()
            await out.text(`row ${done}: ${text}`)
          } else await out.jsonLine(line)
          report.show({ event: 'progress', phase: 'score', done: ++done, total: rows.length })
        }
      } finally {
        report.clear()
        await opened.close()
      }
    }).finally(rows.close)
  },
})

/** A row's result as JSON and as text. */
type Result = { line: object; text: string }

const limitsOf = ({ config }: Model): ModelLimits => ({
  positions: config.max_position_embeddings,
  vocabulary: config.vocab_size,
})

const textOptions = ({ assistantOnlyLoss, completionOnlyLoss }: z.output<typeof schema>): TextOptions => ({
  assistantOnly: assistantOnlyLoss,
  completionOnly: completionOnlyLoss,
})

/** @param tokenizer where the texts of tokens are asked for, and the model has one */
async function* logProbs(
  model: Model,
  inputs: AsyncIterable<Scorable>,
  tokenizer: Tokenizer | undefined,
): AsyncGenerator<Result> {
  const texts: string[][] = []
  const read = async function* () {
    for await (const input of inputs) {
      if (tokenizer) texts.push(countedTexts(tokenizer, input))
      yield input
    }
  }
  for await (const logps of score(model, read())) {
    const logp = logps.reduce((a, b) => a + b, 0)
    const token_texts = texts.shift()
    yield {
      line: { logp, tokens: logps.length, token_logps: logps, ...(token_texts && { token_texts }) },
      text: logpText(logp, logps.length),
    }
  }
}

/** The text that each counted token adds to those before it. */
const countedTexts = (tokenizer: Tokenizer, { ids, labels }: Scorable): string[] => {
  const stream = tokenizer.stream({ skipSpecialTokens: false })
  const texts = ids.map((id) => stream.push(id))
  texts[texts.length - 1] += stream.flush()
  return texts.filter((_, t) => labels[t] !== uncounted)
}

/** Rows that a reward model scores, or an encoder reads, together. */
const batchRows = 32

async function* hiddenRows(model: Model, inputs: AsyncIterable<EncoderInput>): AsyncGenerator<Result> {
  const C = model.config.hidden_size
  const plans = async function* () {
    for await (const batch of inGroups(inputs, () => batchRows)) yield hiddenStatesPlan(model, batch)
  }
  for await (const batch of readPlansOf(model, plans()))
    for (const states of batch) {
      const tokens = states.length / C
      const hidden = Array.from({ length: tokens }, (_, t) => Array.from(states.subarray(t * C, (t + 1) * C)))
      yield { line: { hidden }, text: `${plural(tokens, 'token')}, ${C} numbers each; --json prints them` }
    }
}

/** `ranking`: a row with several responses. */
type RewardRow = { tree: Tree; ranking: boolean }

async function* rewards(model: Model, rows: AsyncIterable<RewardRow>): AsyncGenerator<Result> {
  const waiting: RewardRow[] = []
  const plans = async function* () {
    for await (const batch of inGroups(rows, () => batchRows)) {
      waiting.push(...batch)
      yield* rewardPlans(batch.map(({ tree }) => tree))
    }
  }
  for await (const trees of readPlansOf(model, plans()))
    for (const scored of trees) {
      const lines = scored.map(rewardLine)
      yield {
        line: waiting.shift()!.ranking ? { rewards: scored.map(({ reward }) => reward), replies: lines } : lines[0],
        text: scored.map(rewardText).join('   '),
      }
    }
}

const rewardLine = ({ reward, sigma, probs }: Reward) => (probs ? { reward, std: sigma, probs } : { reward })

const rewardText = ({ reward, sigma }: Reward) =>
  `reward ${formatNumber(reward)}${sigma === undefined ? '' : ` ± ${formatNumber(sigma)}`}`

const logpText = (logp: number, tokens: number): string => {
  const perplexity = tokens ? `, perplexity ${formatNumber(Math.exp(-logp / tokens))}` : ''
  return `log-probability ${formatNumber(logp)} of ${plural(tokens, 'token')}${perplexity}`
}
