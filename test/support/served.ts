/** Starts servers of the stories model in this process. */
import { openScheduler } from '../../src/generate/scheduler.ts'
import { listen, type Timeouts } from '../../src/http/listen.ts'
import { openModel } from '../../src/passes/open.node.ts'
import { type AppOptions, makeApp } from '../../src/serve/app.ts'
import { chatTemplate } from '../../src/text/chat.ts'
import { fixture } from './golden.ts'

/** A chat template that joins the contents of the messages. */
const template = '{% for message in messages %}{{ message.content }}{% endfor %}'

export const openServed = async () => {
  const opened = await openModel({ model: fixture('models/stories260K'), inProcess: true, threads: 1 })
  const { model } = opened
  const plain = opened.tokenizer!
  const encoder = {
    encode: (text: string) => plain.encode(text),
    encodePlain: (text: string) => plain.encode(text, { splitSpecial: true }),
    added: [],
  }
  const chat = chatTemplate({ default: { file: 'test', source: template } }, encoder, {})
  const served = { name: 'stories', model, tokenizer: { ...plain, chat }, eosIds: new Set([1, 2]) }
  const scheduler = openScheduler(model, served.tokenizer, { batchSize: 16 })
  const start = async (options: Partial<AppOptions> = {}, patience?: Timeouts) => {
    const errors: unknown[] = []
    const app = makeApp({ served, scheduler, maxRequests: 200, onError: (error) => errors.push(error), ...options })
    return { ...(await listen(app, { host: '127.0.0.1', port: 0 }, patience)), errors }
  }
  const close = async () => {
    await scheduler.close()
    await opened.close()
  }
  return { served, scheduler, start, close }
}
