/** `attune chat`: talk with a model in the terminal. Ctrl-C stops a completion and takes it back with its question; the chat continues. */
import { z } from 'zod'
import { endIds } from '../../generate/generate.ts'
import { worthPacking } from '../../generate/memory.node.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import type { FinishReason } from '../../generate/sequence.ts'
import { samplingFields, samplingOptions } from '../../library/sampling.ts'
import { openModel } from '../../passes/open.node.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { appendText } from '../../util/files.node.ts'
import { cut } from '../../util/quote.ts'
import { type ChatInput, openChatInput } from '../chatInput.ts'
import { command } from '../command.ts'
import { noteCompute } from '../computeNote.ts'
import { type Conversation, makeConversation } from '../conversation.ts'
import { engineFlags, modelFlags } from '../modelFlags.ts'
import type { Output } from '../output.ts'
import { makeReporter } from '../reporter.ts'
import { makeWordWrap } from '../wordWrap.ts'

const schema = z.object({
  ...modelFlags,
  system: z.string().min(1).optional().meta({ value: 'TEXT' }).describe('system message: what the model is told first'),
  maxNewTokens: z.number().int().positive().default(512).describe('maximum number of tokens of a completion'),
  ...samplingFields,
  temperature: samplingFields.temperature
    .default(0.7)
    .describe('sampling temperature; 0 is greedy decoding, 1 the probabilities of the model as they are'),
  seed: z
    .number()
    .int()
    .nonnegative()
    .optional()
    .describe('random seed of the sampling; without it every chat is different'),
  ...engineFlags,
})

export default command({
  summary: 'Talk with a model in the terminal',
  example: 'chat --model HuggingFaceTB/SmolLM2-135M-Instruct --system "You are a pirate."',
  schema,
  async run(options, { out }) {
    const report = makeReporter(out.screen, { logEvery: 1 })
    const opened = await openModel({ ...options, onProgress: (at) => report.show({ event: 'progress', ...at }) })
    const { model, tokenizer } = opened
    const packed = worthPacking(model, Number.POSITIVE_INFINITY)
    const scheduler = openScheduler(model, tokenizer, { batchSize: 1, packed })
    const input = openChatInput(report.note)
    try {
      if (!tokenizer) throw badInput('no-tokenizer', 'has no tokenizer, which a chat needs', { file: opened.dir })
      const context = model.config.max_position_embeddings
      const reserved = Math.min(options.maxNewTokens, Math.floor(context / 4))
      const chat = makeConversation(tokenizer, { context, reserved, system: options.system })
      const eosIds = endIds(model.config.raw, opened.generationConfig, tokenizer.eosId)
      const sampling = samplingOptions(options, tokenizer, model.config.vocab_size)
      const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31)
      report.clear()
      await noteCompute(model, options.compute, report)
      if (!tokenizer.chat)
        report.note('the model has no chat template: it continues the plain text of the conversation')
      report.note('Ctrl-C stops a completion; /help lists the commands')
      for (let turn = 0; ; ) {
        const line = (await input.next())?.trim()
        if (line === undefined || line === '/exit') break
        if (line === '' || (await chatCommand(line, chat, report.note))) continue
        const request = { ...options, ...sampling, eosIds, seed }
        const ask: Ask = (prompt, signal) => scheduler.submit({ prompt, options: request, signal, row: turn })
        const completed = await complete(chat, line, { out, note: report.note, ask, watch: input.watch })
        if (completed) turn++
      }
    } finally {
      report.clear()
      input.close()
      await scheduler.close()
      await opened.close()
    }
  },
})

const help = `  /reset      start a new conversation
  /save FILE  append the conversation to a file of rows, as attune sft reads them
  /exit       leave (or Ctrl-D)`

/** Carries out a line that begins with a slash. @returns whether it was one */
export const chatCommand = async (line: string, chat: Conversation, note: (text: string) => void): Promise<boolean> => {
  const [, name, file] = /^\/(\w+)\s*(.*)$/.exec(line) ?? []
  if (name === undefined) return false
  if (name === 'reset') {
    chat.reset()
    note('a new conversation')
  } else if (name === 'save' && file) note(await save(file, chat))
  else {
    if (name === 'save') note('/save needs the name of a file')
    else if (name !== 'help') note(`there is no /${cut(name, 40)}; these are the commands`)
    note(help)
  }
  return true
}

const save = (file: string, { messages }: Conversation): Promise<string> =>
  appendText(file, `${JSON.stringify({ messages })}\n`).then(
    () => `${messages.length} messages are in ${file}`,
    (error) => `${file} cannot be written (${error.code}); choose another`,
  )

type Ask = (prompt: readonly number[], signal: AbortSignal) => ReturnType<ReturnType<typeof openScheduler>['submit']>

/** Prints the completion as it is made. A line that cannot be answered is removed again. @returns whether it was answered */
const complete = async (
  chat: Conversation,
  line: string,
  { out, note, ask, watch }: { out: Output; note: (text: string) => void; ask: Ask; watch: ChatInput['watch'] },
): Promise<boolean> => {
  chat.add('user', line)
  const stop = new AbortController()
  const unwatch = watch(() => stop.abort())
  let text = ''
  let finish: FinishReason | undefined
  const wrap = makeWordWrap(() => (out.toTerminal ? out.columns() : Number.POSITIVE_INFINITY))
  try {
    const { ids, dropped } = chat.prompt()
    if (dropped) note(`the first ${dropped} messages no longer fit into the context and are left out`)
    for await (const piece of ask(ids, stop.signal)) {
      text += piece.text
      finish = piece.finishReason
      if (!out.json) await out.text(wrap.add(piece.text), '')
    }
  } catch (error) {
    chat.removeLast()
    if (stop.signal.aborted) {
      if (out.json) await out.jsonLine({ role: 'assistant', content: text, finish_reason: 'interrupted' })
      else await out.text(wrap.end())
      note('(stopped; the question and what there was of its answer are not part of the conversation)')
      return true
    }
    if (!(error instanceof Fault)) throw error
    note(error.message)
    return false
  } finally {
    unwatch()
  }
  chat.add('assistant', text)
  if (out.json) await out.jsonLine({ role: 'assistant', content: text, finish_reason: finish })
  else await out.text(wrap.end())
  if (finish === 'length') note('(the completion was cut off; --max-new-tokens allows longer ones)')
  return true
}
