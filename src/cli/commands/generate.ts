/** `attune generate`: completions of prompts, in the order of the prompts. In a terminal a single one is shown as it is made. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { userTurn } from '../../data/chatRows.ts'
import { encodePrompt } from '../../data/examples.ts'
import { openRows } from '../../data/openRows.node.ts'
import { templateColumns } from '../../data/records.ts'
import type { Text } from '../../data/rows.ts'
import type { RemoteCompletion } from '../../endpoint/completions.ts'
import { beamSearch } from '../../generate/beams.ts'
import { type Completion, completions } from '../../generate/completions.ts'
import { endIds, generate } from '../../generate/generate.ts'
import { worthPacking } from '../../generate/memory.node.ts'
import { checkPrompt } from '../../generate/scheduler.ts'
import type { Piece } from '../../generate/sequence.ts'
import { shareModel } from '../../generate/sharedModel.node.ts'
import { idsOnly, requireTemplate } from '../../generate/tokenization.node.ts'
import { beamFields, generationFields, samplingFields, samplingOptions } from '../../library/sampling.ts'
import { openModel } from '../../passes/open.node.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import { dataFields, workersFields } from '../../recipes/trainer/fields.ts'
import { atPlace, badInput } from '../../util/fault.ts'
import { inOrder } from '../../util/inOrder.ts'
import { chatField, chatOf } from '../chatFlag.ts'
import { command } from '../command.ts'
import { noteCompute } from '../computeNote.ts'
import { adapterFlag, engineFlags, modelFlags } from '../modelFlags.ts'
import type { Output } from '../output.ts'
import { makeReporter, type Reporter } from '../reporter.ts'
import { generateOnServer, isServer, type PlacedPrompt, serverFields } from '../serverCompletions.ts'
import { withWorkers } from '../workers.ts'

const schema = z.object({
  model: z
    .string()
    .meta({ value: 'MODEL' })
    .describe("a folder, a hub id, a run's name, or the address of an OpenAI-compatible server"),
  adapter: adapterFlag,
  quantize: modelFlags.quantize,
  compute: modelFlags.compute,
  prompt: z.array(z.string()).optional().meta({ value: 'TEXT' }).describe('a prompt; repeatable'),
  data: z.array(z.string()).optional().meta({ value: 'FILE' }).describe('rows with prompts; repeatable'),
  column: dataFields.column,
  maxSamples: dataFields.maxSamples.describe('use only the first N rows of --data'),
  chat: chatField("treat each text as a user's message and apply the model's chat template"),
  maxNewTokens: generationFields.maxNewTokens,
  numReturnSequences: z.number().int().positive().default(1).describe('completions of each prompt'),
  stop: generationFields.stop,
  batchSize: z.number().int().positive().default(16).describe('completions that are generated at the same time'),
  seed: generationFields.seed,
  ...samplingFields,
  ...beamFields,
  ...serverFields,
  ...engineFlags,
  ...workersFields,
})
type Options = z.output<typeof schema>

export default command({
  summary: 'Generate completions of prompts, with a local model or an OpenAI-compatible server',
  example:
    'generate --model HuggingFaceTB/SmolLM2-135M-Instruct --chat --prompt "Why is the sky blue?" --temperature 0.7',
  schema,
  async run(options, { out }) {
    checkBeams(options)
    out.noteJsonLines()
    const report = makeReporter(out.screen, { logEvery: 1 })
    const chat = await chatOf(options, report.note)
    const placed = await promptsOf({ ...options, chat }, report)
    const samples = options.numReturnSequences
    const total = placed.length * samples
    const done = (n: number) => report.show({ event: 'progress', phase: 'generate', done: n, total })
    if (isServer(options))
      return generateOnServer(options, placed, report, (ended) =>
        print(ordered(ended, samples, done), placed, out, report.clear),
      )
    await withWorkers(
      options,
      { name: `generate ${options.model}`, note: report.note, screen: out.screen },
      async (_, sharing) => {
        const opened = await openModel({ ...options, onProgress: (at) => report.show({ event: 'progress', ...at }) })
        try {
          await noteCompute(opened.model, options.compute, report)
          const { tokenizer } = opened
          if (chat) requireTemplate(tokenizer, opened.dir)
          const encoder = tokenizer ?? idsOnly(opened.dir)
          const ids = placed.map(({ prompt, template, where }) => {
            const ids = atPlace(where, () => encodePrompt(encoder, prompt, template))
            checkPrompt(opened.model, ids, where)
            return ids
          })
          const eosIds = endIds(opened.model.config.raw, opened.generationConfig, tokenizer?.eosId)
          const packed = worthPacking(opened.model, Math.ceil(total / options.batchSize) * options.maxNewTokens)
          const sampling = samplingOptions(options, encoder, opened.model.config.vocab_size)
          const { quantize, compute } = options
          const share = sharing && shareModel(opened, { quantize, compute }, sharing).sampling
          const settings = { ...options, ...sampling, eosIds, samples, packed, share }
          const earlyStopping = options.earlyStopping === 'never' ? 'never' : options.earlyStopping === 'true'
          const all = () =>
            options.numBeams > 1
              ? beamSearch(opened.model, tokenizer, ids, { ...settings, earlyStopping })
              : completions(generate(opened.model, tokenizer, ids, settings))
          if (out.toTerminal && total === 1 && options.numBeams === 1)
            await stream(generate(opened.model, tokenizer, ids, settings), placed[0].prompt, out)
          else await print(ordered(all(), samples, done), placed, out, report.clear)
        } finally {
          report.clear()
          await opened.close()
        }
      },
    )
  },
})

const checkBeams = (options: Options) => {
  const { numBeams, numReturnSequences, stop, workers } = options
  if (workers !== undefined && isServer(options))
    throw badInput('bad-flag', 'shares out what this machine computes, and the model is on a server', {
      flag: '--workers',
    })
  if (numBeams === 1) return
  if (workers !== undefined)
    throw badInput('bad-flag', 'does not go with beam search, which one process does', { flag: '--workers' })
  if (isServer(options))
    throw badInput('bad-flag', 'works only with local models; a server does not take it', { flag: '--num-beams' })
  if (numReturnSequences > numBeams)
    throw badInput('bad-flag', `must not be more than --num-beams, ${numBeams}`, {
      flag: '--num-return-sequences',
    })
  if (stop) throw badInput('bad-flag', 'does not work with beam search; leave it out', { flag: '--stop' })
}

/** The prompts of the flags, then those of the files. */
const promptsOf = async (
  { prompt = [], data, column, maxSamples, chat }: Options,
  { note }: Reporter,
): Promise<PlacedPrompt[]> => {
  const prompts: PlacedPrompt[] = prompt.map((text) => ({
    prompt: chat ? userTurn(text) : text,
    where: { flag: '--prompt' },
  }))
  if (data) {
    const rows = await openRows(data, { as: 'prompt', columns: column, maxSamples, chat, resolve: resolveDataset })
    for (let i = 0; i < rows.length; i++) prompts.push({ ...(await rows.row(i)), where: rows.where(i) })
    await rows.close()
    for (const { message } of unreadWarnings([rows])) note(message)
  }
  if (prompts.length === 0) throw badInput('bad-flag', 'no prompts; give --prompt or --data')
  return prompts
}

/** Brings completions into the order of the prompts, and counts them as they come. */
const ordered = <T extends { row: number; sample: number }>(
  ended: AsyncIterable<T>,
  samples: number,
  onDone: (n: number) => void,
) => {
  let done = 0
  return inOrder(ended, ({ row, sample }) => {
    onDone(++done)
    return row * samples + sample
  })
}

const print = async (
  all: AsyncIterable<Completion | RemoteCompletion>,
  prompts: readonly PlacedPrompt[],
  out: Output,
  clearBar: () => void,
) => {
  for await (const completion of all) {
    const { row, text, finishReason } = completion
    const { prompt, template } = prompts[row]
    if (out.toTerminal) {
      clearBar()
      await out.text(`${shown(prompt)}${text}\n`)
    } else {
      const line = { prompt, completion: text, ...details(completion), finish_reason: finishReason }
      // A row that is trained on is rendered as its prompt was
      await out.jsonLine({ ...line, ...templateColumns(template) })
    }
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

/** What is printed before a completion: a plain prompt, but no conversation. */
const shown = (prompt: Text) => (typeof prompt === 'string' ? prompt : '')

const stream = async (pieces: AsyncIterable<Piece>, prompt: Text, out: Output) => {
  await out.text(shown(prompt), '')
  for await (const { text } of pieces) await out.text(text, '')
  await out.text('')
}
