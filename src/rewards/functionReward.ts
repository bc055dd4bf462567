/**
 * A reward as a function of one's own: a module whose default export takes rows and gives a number for each, null where it
 * has none to give. It runs in a worker with limits of time and memory, so one that never returns, ends its process or
 * throws beside a call costs a reward and not the run. TypeScript is read by jiti, on every Node.
 */
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { badInput, runFailure } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'
import { abstained, type CompletionToScore, failed, type Reward, type RewardSource } from './rewards.ts'

/** Of the worker's heap; arrays of numbers lie beside it. */
const megabytes = 2048

/** What the worker runs: small enough to be a text, so that it is the same whether attune is built or not. */
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
      const answer = (response) => parentPort.postMessage({ call, ...response })
      try {
        const values = await reward(rows)
        const list = Array.isArray(values) || ArrayBuffer.isView(values) ? Array.from(values) : undefined
        if (!list) return answer({ wrong: 'gave ' + (values === null ? 'null' : typeof values) + ', not a list of numbers' })
        if (list.length !== rows.length)
          return answer({ wrong: 'gave ' + list.length + ' rewards for ' + rows.length + ' rows' })
        const odd = list.findIndex((value) => value !== null && typeof value !== 'number')
        if (odd >= 0) return answer({ wrong: 'gave a value of type ' + typeof list[odd] + ', not a number or null' })
        answer({ values: list })
      } catch (error) {
        answer({ threw: message(error) })
      }
    })
    parentPort.postMessage({ call: 0 })
  },
  (error) => parentPort.postMessage({ call: 0, unready: message(error) }),
)
`

type Reply = {
  /** 0 of loading. */
  call?: number
  values?: (number | null)[]
  threw?: string
  wrong?: string
  unready?: string
  late?: true
  /** The worker is no more: why. */
  gone?: string
}

/** What the function gets of each answer: the row's columns, with these in their places. */
const rowOf = ({ prompt, record, sample }: CompletionToScore) => ({
  ...record,
  prompt,
  completion: sample.text ?? '',
  ids: sample.ids,
  finish_reason: sample.finish_reason,
})

/**
 * @param seconds that a call may take
 * Throws Faults 'bad-reward' (exit 2) where the module has no function or gives something else than a number or null a row.
 */
export const functionReward = async (
  file: string,
  seconds: number,
): Promise<{ of: RewardSource['of']; close(): Promise<void> }> => {
  let worker = await openWorker(file, seconds)
  const call = async (answers: readonly CompletionToScore[]): Promise<Reply> => {
    // Something beside a call may have ended it since
    if (worker.gone()) worker = await openWorker(file, seconds)
    const response = await worker.ask(answers.map(rowOf))
    if (response.wrong) throw badInput('bad-reward', `its function ${response.wrong}`, { file })
    return response
  }
  return {
    async of(answers) {
      const response = await call(answers)
      if (response.values) return response.values.map((value) => rewardOf(value, file))
      if (response.late || answers.length === 1) return answers.map(() => failed(troubleOf(response, file, seconds)))
      // A row that makes the function throw costs no other row its reward
      const rewards: Reward[] = []
      for (const answer of answers) {
        const { values, ...trouble } = await call([answer])
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
    resourceLimits: { maxOldGenerationSizeMb: megabytes },
    stdout: true,
    stderr: true,
  })
  // stdout belongs to attune's own lines
  for (const stream of [worker.stdout, worker.stderr]) stream.on('data', (chunk) => process.stderr.write(chunk))
  let gone: string | undefined
  let heard: (response: Reply) => void = () => {}
  const end = (why: string) => {
    gone ??= why
    heard({ gone })
  }
  worker.on('message', (response: Reply) => heard(response))
  worker.on('error', (error: NodeJS.ErrnoException) =>
    end(
      error.code === 'ERR_WORKER_OUT_OF_MEMORY'
        ? `it needs more than ${megabytes} MB of memory`
        : cut(String(error?.message ?? error), 200),
    ),
  )
  worker.on('exit', () => end('process.exit was called'))

  /** The response to a call, or what came instead of it. A response to an earlier one that was late is nobody's. */
  const response = (call: number) =>
    new Promise<Reply>((resolve) => {
      const timer = setTimeout(() => {
        gone ??= 'it was stopped'
        resolve({ late: true })
        void worker.terminate()
      }, seconds * 1000)
      heard = (response) => {
        if (response.call !== undefined && response.call !== call) return
        clearTimeout(timer)
        resolve(response)
      }
      if (gone) heard({ gone })
    })

  const loaded = await response(0)
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
      const answer = await response(calls)
      worker.unref()
      return answer
    },
    close: async () => void (await worker.terminate()),
  }
}
