/** A conversation in the terminal. Ctrl-C stops an answer and keeps what there is of it; the chat goes on. */
import { z } from 'zod'
import { endIds } from '../../generate/generate.ts'
import { worthPacking } from '../../generate/memory.node.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import type { FinishReason } from '../../generate/sequence.ts'
import { openModel } from '../../passes/open.node.ts'
import { engineFields, quantizeField } from '../../recipes/trainer/schema.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { appendText } from '../../util/files.node.ts'
import { openInput } from '../chatInput.ts'
import { command } from '../command.ts'
import { type Conversation, conversation } from '../conversation.ts'
import type { Output } from '../output.ts'
import { samplingFields, samplingOptions } from '../sampling.ts'
import { reporter } from '../terminal.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a folder, a hub id or the name of a run'),
  adapter: z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter of that model'),
  quantize: quantizeField,
  system: z.string().min(1).optional().meta({ value: 'TEXT' }).describe('what the model is told before everything'),
  maxNewTokens: z.number().int().positive().default(512).describe('tokens of an answer at most'),
  ...samplingFields,
  seed: z.number().int().nonnegative().optional().describe('same seed, same answers to the same words'),
  device: engineFields.device,
  threads: engineFields.threads,
})

export default command({
  summary: 'Talk with a model in the terminal',
  example: 'chat --model HuggingFaceTB/SmolLM2-135M-Instruct --system "You are a pirate."',
  schema,
  async run(options, { out }) {
    const report = reporter(out.screen, { logEvery: 1 })
    const opened = await openModel({ ...options, onProgress: (at) => report.show({ event: 'progress', ...at }) })
    const { model, tokenizer } = opened
    const packed = worthPacking(model, Number.POSITIVE_INFINITY)
    const scheduler = openScheduler(model, tokenizer, { batchSize: 1, packed })
    const input = openInput(report.note)
    try {
      if (!tokenizer) throw badInput('no-tokenizer', 'has no tokenizer, and a chat is text', { file: opened.dir })
      const context = model.config.max_position_embeddings
      const room = Math.min(options.maxNewTokens, Math.floor(context / 4))
      const talk = conversation(tokenizer, { context, room, system: options.system })
      const eosIds = endIds(model.config.raw, opened.generationConfig, tokenizer.eosId)
      const sampling = samplingOptions(options, tokenizer, model.config.vocab_size)
      const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31)
      report.clear()
      if (!tokenizer.chat)
        report.note('the model has no chat template: it goes on with the plain text of all that was said')
      report.note('Ctrl-C stops an answer; /help lists what else there is')
      for (let turn = 0; ; ) {
        const line = (await input.next())?.trim()
        if (line === undefined || line === '/exit') break
        if (line === '' || (await directive(line, talk, report.note))) continue
        const request = { ...options, ...sampling, eosIds, seed }
        const answered = await answer(talk, line, out, report.note, (prompt, signal) =>
          scheduler.submit({ prompt, options: request, signal, row: turn }),
        )
        if (answered) turn++
      }
    } finally {
      report.clear()
      input.close()
      await scheduler.close()
      await opened.close()
    }
  },
})

const help = `  /reset      begin anew
  /save FILE  append the conversation to a file of rows, as attune sft reads them
  /exit       leave (or Ctrl-D)`

/** @returns whether the line was one */
const directive = async (line: string, talk: Conversation, note: (text: string) => void): Promise<boolean> => {
  const [, name, file] = /^\/(\w+)\s*(.*)$/.exec(line) ?? []
  if (name === undefined) return false
  if (name === 'reset') talk.reset()
  if (name === 'reset') note('the conversation begins anew')
  else if (name === 'save' && file) note(await save(file, talk))
  else note(help)
  return true
}

const save = (file: string, { messages }: Conversation): Promise<string> =>
  appendText(file, `${JSON.stringify({ messages })}\n`).then(
    () => `${messages.length} messages are in ${file}`,
    (error) => `${file} cannot be written (${error.code}); choose another`,
  )

type Ask = (prompt: readonly number[], signal: AbortSignal) => ReturnType<ReturnType<typeof openScheduler>['submit']>

/** Streams the answer to a line. What cannot be answered is taken back. @returns whether there was an answer */
const answer = async (
  talk: Conversation,
  line: string,
  out: Output,
  note: (text: string) => void,
  ask: Ask,
): Promise<boolean> => {
  talk.add('user', line)
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.on('SIGINT', interrupt)
  let [text, finish] = ['', undefined as FinishReason | 'interrupted' | undefined]
  try {
    const { ids, dropped } = talk.prompt()
    if (dropped) note(`the first ${dropped} messages no longer fit and are left out`)
    for await (const piece of ask(ids, stop.signal)) {
      text += piece.text
      finish = piece.finishReason
      if (!out.json) await out.text(piece.text, '')
    }
  } catch (error) {
    if (!stop.signal.aborted) {
      talk.undo()
      if (!(error instanceof Fault)) throw error
      note(error.message)
      return false
    }
    finish = 'interrupted'
  } finally {
    process.off('SIGINT', interrupt)
  }
  talk.add('assistant', text)
  if (out.json) await out.line({ role: 'assistant', content: text, finish_reason: finish })
  else await out.text('')
  if (finish === 'length') note('(the answer was cut; --max-new-tokens allows longer ones)')
  return true
}
