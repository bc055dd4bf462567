/**
 * A reward function of the user's: a module whose default export takes rows and gives a number for each, null where it has
 * none to give.
 *
 * It runs in a worker with limits of time and memory. So a function that never returns, ends its process or throws outside of
 * a call costs a reward and not the run. TypeScript is read by jiti, on every Node.
 */
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { badInput, runFailure } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'
import { abstained, type CompletionToScore, failed, type Reward, type RewardSource } from './rewards.ts'

/** Limit of the worker's heap. Typed arrays lie outside of it. */
const heapMegabytes = 2048

/** What the worker runs. As a text it is the same whether attune is built or not. */
const program = `
const { parentPort, workerData: { url, jiti } } = require('node:worker_threads')
const load = async () => {
  const found = /\\.m?ts$/.test(url) ? await require(jiti).createJiti(url, { fsCache: false }).import(url) : await import(url)
  const made = found.default?.default ?? found.default
  if (typeof made !== 'function') throw new Error('has no default export that is a function')
  return made
}
const message = (error) => { try { return String(error?.message ?? error) } catch { return 'something that is no error' } }
load().then(
  (reward) => {
    parentPort.on('message', async ({ call, rows }) => {
      const reply = (message) => parentPort.postMessage({ call, ...message })
      try {
        const values = await reward(rows)
        const list = Array.isArray(values) || ArrayBuffer.isView(values) ? Array.from(values) : undefined
        if (!list) return reply({ wrong: 'gave ' + (values === null ? 'null' : typeof values) + ', not a list of numbers' })
        if (list.length !== rows.length)
          return reply({ wrong: 'gave ' + list.length + ' rewards for ' + rows.length + ' rows' })
        const wrong = list.findIndex((value) => value !== null && typeof value !== 'number')
        if (wrong >= 0) return reply({ wrong: 'gave a value of type ' + typeof list[wrong] + ', not a number or null' })
        reply({ values: list })
      } catch (error) {
        reply({ threw: message(error) })
      }
    })
    parentPort.postMessage({ call: 0 })
  },
  (error) => parentPort.postMessage({ call: 0, unready: message(error) }),
)
`

type Reply = {
  /** The number of the call; 0 is the loading of the module. */
  call?: number
  values?: (number | null)[]
  threw?: string
  wrong?: string
  unready?: string
  late?: true
  /** The worker is no more: why. */
  gone?: string
}

/** What the function gets for each completion: the columns of the prompt's row, and these beside or instead of them. */
const rowOf = ({ prompt, record, sample }: CompletionToScore) => ({
  ...record,
  prompt,
  completion: sample.text ?? '',
  ids: sample.ids,
  finish_reason: sample.finish_reason,
})

/**
 * @param seconds a call may take so long
 * Throws Faults 'bad-reward' (exit 2) where the module has no function or gives something else than a number or null a row.
 */
export const functionReward = async (
  file: string,
  seconds: number,
): Promise<Pick<RewardSource, 'score'> & { close(): Promise<void> }> => {
  let worker = await openWorker(file, seconds)
  const call = async (completions: readonly CompletionToScore[]): Promise<Reply> => {
    // Something outside of a call may have ended it since
    if (worker.gone()) worker = await openWorker(file, seconds)
    const reply = await worker.ask(completions.map(rowOf))
    if (reply.wrong) throw badInput('bad-reward', `its function ${reply.wrong}`, { file })
    return reply
  }
  return {
    async score(completions) {
      const reply = await call(completions)
      if (reply.values) return reply.values.map((value) => rewardOf(value, file))
      if (reply.late || completions.length === 1) return completions.map(() => failed(troubleOf(reply, file, seconds)))
      // A row that makes the function throw costs no other row its reward
      const rewards: Reward[] = []
      for (const completion of completions) {
        const { values, ...trouble } = await call([completion])
        rewards.push(values ? rewardOf(values[0], file) : failed(troubleOf(trouble, file, seconds)))
      }
      return rewards
    },
    close: () => worker.close(),
  }
}

const rewardOf = (value: number | null, file: string): Reward => {
  if (value === null) return abstained
  return Number.isFinite(value) ? { value } : failed(`${file} gave ${value}`)
}

const troubleOf = ({ threw, gone, late }: Reply, file: string, seconds: number): string => {
  if (late) return `${file} took more than ${seconds} s (--reward-timeout)`
  return gone ? `${file} ended its worker: ${gone}` : `${file} threw: ${cut(threw ?? '', 200)}`
}

const openWorker = async (file: string, seconds: number) => {
  const url = pathToFileURL(resolve(file)).href
  const jiti = createRequire(import.meta.url).resolve('jiti')
  const worker = new Worker(program, {
    eval: true,
    workerData: { url, jiti },
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
    stdout: true,
    stderr: true,
  })
  // attune's own lines go to stdout
  for (const stream of [worker.stdout, worker.stderr]) stream.on('data', (chunk) => process.stderr.write(chunk))
  let gone: string | undefined
  let onReply: (reply: Reply) => void = () => {}
  const end = (why: string) => {
    gone ??= why
    onReply({ gone })
  }
  worker.on('message', (reply: Reply) => onReply(reply))
  worker.on('error', (error: NodeJS.ErrnoException) =>
    end(
      error.code === 'ERR_WORKER_OUT_OF_MEMORY'
        ? `it needs more than ${heapMegabytes} MB of memory`
        : cut(String(error?.message ?? error), 200),
    ),
  )
  worker.on('exit', () => end('process.exit was called'))

  /** The reply to a call, or what came instead of it. A late reply to an earlier call is dropped. */
  const replyTo = (call: number) =>
    new Promise<Reply>((resolve) => {
      const timer = setTimeout(() => {
        gone ??= 'it was stopped'
        resolve({ late: true })
        void worker.terminate()
      }, seconds * 1000)
      onReply = (reply) => {
        if (reply.call !== undefined && reply.call !== call) return
        clearTimeout(timer)
        resolve(reply)
      }
      if (gone) onReply({ gone })
    })

  const loaded = await replyTo(0)
  if (loaded.late) throw runFailure('reward', `did not load within ${seconds} s (--reward-timeout)`, { file })
  const trouble = loaded.unready ?? loaded.gone
  if (trouble !== undefined) {
    await worker.terminate()
    throw badInput('bad-reward', `cannot be used as a reward: ${quoted(trouble)}`, { file })
  }
  worker.unref()
  let calls = 0
  return {
    gone: () => gone !== undefined,
    async ask(rows: readonly object[]): Promise<Reply> {
      worker.ref()
      worker.postMessage({ call: ++calls, rows })
      const reply = await replyTo(calls)
      worker.unref()
      return reply
    },
    close: async () => void (await worker.terminate()),
  }
}
