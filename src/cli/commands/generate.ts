/** Completions of prompts: JSON lines, in the order of the prompts; text as it comes for a person with one prompt. */

import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { encodePrompt } from '../../data/examples.ts'
import { openRows } from '../../data/openRows.node.ts'
import type { Text } from '../../data/rows.ts'
import type { RemoteCompletion } from '../../endpoint/completions.ts'
import { beamSearch } from '../../generate/beams.ts'
import { type Completion, completions, endIds, generate } from '../../generate/generate.ts'
import { worthPacking } from '../../generate/memory.node.ts'
import { checkPrompt } from '../../generate/scheduler.ts'
import type { Piece } from '../../generate/sequence.ts'
import { openEncoder } from '../../generate/tokenization.node.ts'
import { openModel } from '../../passes/open.node.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import { engineFields, quantizeField } from '../../recipes/trainer/schema.ts'
import { atPlace, badInput } from '../../util/fault.ts'
import { command } from '../command.ts'
import type { Output } from '../output.ts'
import { type Asked, generateElsewhere, isElsewhere, remoteFields } from '../remoteGenerate.ts'
import { beamFields, samplingFields, samplingOptions } from '../sampling.ts'
import { type Reporter, reporter } from '../terminal.ts'

const schema = z.object({
  model: z
    .string()
    .meta({ value: 'MODEL' })
    .describe("a folder, a hub id, a run's name, or the address of an OpenAI-compatible server"),
  adapter: z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter of that model'),
  quantize: quantizeField,
  prompt: z.array(z.string()).optional().meta({ value: 'TEXT' }).describe('what to complete; repeatable'),
  data: z.array(z.string()).optional().meta({ value: 'FILE' }).describe('rows with prompts; repeatable'),
  chat: z.boolean().default(false).describe("take texts as a user's turns, by the model's chat template"),
  maxNewTokens: z.number().int().nonnegative().default(256).describe('tokens of a completion at most'),
  numReturnSequences: z.number().int().positive().default(1).describe('completions of each prompt'),
  stop: z.array(z.string().min(1)).optional().meta({ value: 'TEXT' }).describe('end before this text; repeatable'),
  batchSize: z.number().int().positive().default(16).describe('completions that are made at once'),
  seed: z.number().int().nonnegative().default(42).describe('same seed, same text, whatever the batch'),
  ...samplingFields,
  ...beamFields,
  ...remoteFields,
  device: engineFields.device,
  threads: engineFields.threads,
})
type Options = z.output<typeof schema>

export default command({
  summary: 'Complete prompts',
  example:
    'generate --model HuggingFaceTB/SmolLM2-135M-Instruct --chat --prompt "Why is the sky blue?" --temperature 0.7',
  schema,
  async run(options, { out }) {
    checkBeams(options)
    const report = reporter(out.screen, { logEvery: 1 })
    const asked = await promptsOf(options, report)
    const prompts = asked.map(({ prompt }) => prompt)
    const samples = options.numReturnSequences
    const total = prompts.length * samples
    const done = (n: number) => report.show({ event: 'progress', phase: 'generate', done: n, total })
    if (isElsewhere(options))
      return generateElsewhere(options, asked, report, (found) =>
        print(inOrder(found, samples, done), prompts, out, report.clear),
      )
    const opened = await openModel({ ...options, onProgress: (at) => report.show({ event: 'progress', ...at }) })
    try {
      const { tokenizer } = opened
      const encoder = tokenizer ?? (await openEncoder(opened))
      const ids = asked.map(({ prompt, template, where }) => {
        const ids = atPlace(where, () => encodePrompt(encoder, prompt, template))
        checkPrompt(opened.model, ids, where)
        return ids
      })
      const eosIds = endIds(opened.model.config.raw, opened.generationConfig, tokenizer?.eosId)
      const packed = worthPacking(opened.model, Math.ceil(total / options.batchSize) * options.maxNewTokens)
      const sampling = samplingOptions(options, encoder, opened.model.config.vocab_size)
      const settings = { ...options, ...sampling, eosIds, samples, packed }
      const earlyStopping = options.earlyStopping === 'never' ? 'never' : options.earlyStopping === 'true'
      const all = () =>
        options.numBeams > 1
          ? beamSearch(opened.model, tokenizer, ids, { ...settings, earlyStopping })
          : completions(generate(opened.model, tokenizer, ids, settings))
      if (out.readable && total === 1 && options.numBeams === 1)
        await stream(generate(opened.model, tokenizer, ids, settings), prompts[0], out)
      else await print(inOrder(all(), samples, done), prompts, out, report.clear)
    } finally {
      report.clear()
      await opened.close()
    }
  },
})

const checkBeams = (options: Options) => {
  const { numBeams, numReturnSequences, stop } = options
  if (numBeams === 1) return
  if (isElsewhere(options))
    throw badInput('bad-flag', 'is for models of this machine; servers do not take it', { flag: '--num-beams' })
  if (numReturnSequences > numBeams)
    throw badInput('bad-flag', `${numBeams} beams end in so many completions at most`, {
      flag: '--num-return-sequences',
    })
  if (stop) throw badInput('bad-flag', 'beams end at end tokens or at their length; leave it out', { flag: '--stop' })
}

/** Of the flags, then of the files. */
const promptsOf = async ({ prompt = [], data, chat }: Options, { note }: Reporter): Promise<Asked[]> => {
  const asked: Asked[] = prompt.map((text) => ({ prompt: text, where: { flag: '--prompt' } }))
  if (data) {
    const rows = await openRows(data, { as: 'prompt', resolve: resolveDataset })
    for (let i = 0; i < rows.length; i++) asked.push({ ...(await rows.row(i)), where: rows.where(i) })
    await rows.close()
    for (const { message } of unreadWarnings([rows])) note(message)
  }
  if (asked.length === 0) throw badInput('bad-flag', 'no prompts; give --prompt or --data')
  const turn = (text: Text): Text => (typeof text === 'string' ? [{ role: 'user', content: text }] : text)
  return chat ? asked.map((one) => ({ ...one, prompt: turn(one.prompt) })) : asked
}

/** Completions end in any order; each waits for those before it. */
async function* inOrder<T extends { row: number; sample: number }>(
  ended: AsyncIterable<T>,
  samples: number,
  onDone: (n: number) => void,
) {
  const waiting = new Map<number, T>()
  let next = 0
  let done = 0
  for await (const completion of ended) {
    waiting.set(completion.row * samples + completion.sample, completion)
    onDone(++done)
    for (let ready = waiting.get(next); ready; ready = waiting.get(next)) {
      waiting.delete(next++)
      yield ready
    }
  }
}

const print = async (
  all: AsyncIterable<Completion | RemoteCompletion>,
  prompts: readonly Text[],
  out: Output,
  clearBar: () => void,
) => {
  for await (const completion of all) {
    const { row, text, finishReason } = completion
    const prompt = prompts[row]
    if (out.readable) clearBar()
    if (out.readable) await out.text(`${shown(prompt)}${text}\n`)
    else await out.line({ prompt, completion: text, ...details(completion), finish_reason: finishReason })
  }
}

const details = (completion: Completion | RemoteCompletion) => {
  if ('ids' in completion) {
    const { row, sample, text, finishReason, ...more } = completion
    return more
  }
  const { usage, cached } = completion
  return { prompt_tokens: usage?.promptTokens, completion_tokens: usage?.completionTokens, cached }
}

/** A plain prompt stands before its completion; a conversation is not repeated. */
const shown = (prompt: Text) => (typeof prompt === 'string' ? prompt : '')

const stream = async (pieces: AsyncIterable<Piece>, prompt: Text, out: Output) => {
  await out.text(shown(prompt), '')
  for await (const { text } of pieces) await out.text(text, '')
  await out.text('')
}
