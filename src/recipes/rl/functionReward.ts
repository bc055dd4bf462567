/**
 * A reward as a function of one's own: a module whose default export takes rows and gives a number for each. Peculiar: it
 * runs in a worker, so that one that never returns can be stopped; TypeScript is read by jiti, on every Node.
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { badInput, runFailure } from '../../util/fault.ts'
import { type Answered, failed, type Reward, type RewardSource } from './rewards.ts'

/** What the worker runs: small enough to be a text, so that it is the same whether attune is built or not. */
const program = `
const { parentPort, workerData: { url, jiti } } = require('node:worker_threads')
const load = async () => {
  const found = /\\.m?ts$/.test(url) ? await require(jiti).createJiti(url).import(url) : await import(url)
  const made = found.default?.default ?? found.default
  if (typeof made !== 'function') throw new Error('has no default export that is a function')
  return made
}
const message = (error) => String(error?.message ?? error)
load().then(
  (reward) => {
    parentPort.on('message', async (rows) => {
      try {
        const values = await reward(rows)
        const list = Array.isArray(values) || ArrayBuffer.isView(values) ? Array.from(values) : undefined
        if (!list) return parentPort.postMessage({ wrong: 'gave ' + (values === null ? 'null' : typeof values) + ', not a list of numbers' })
        if (list.length !== rows.length)
          return parentPort.postMessage({ wrong: 'gave ' + list.length + ' rewards for ' + rows.length + ' rows' })
        const odd = list.find((value) => value !== null && value !== undefined && typeof value !== 'number')
        if (odd !== undefined) return parentPort.postMessage({ wrong: 'gave ' + JSON.stringify(odd) + ', not a number' })
        parentPort.postMessage({ values: list.map((value) => value ?? NaN) })
      } catch (error) {
        parentPort.postMessage({ threw: message(error) })
      }
    })
    parentPort.postMessage({ ready: true })
  },
  (error) => parentPort.postMessage({ unready: message(error) }),
)
`

type Reply = { values?: number[]; threw?: string; wrong?: string; unready?: string; ready?: true; late?: true }

/** What the function gets of each answer: the row's columns, with these in their places. */
const rowOf = ({ prompt, record, sample }: Answered) => ({
  ...record,
  prompt,
  completion: sample.text ?? '',
  ids: sample.ids,
  finish_reason: sample.finish_reason,
})

/**
 * @param seconds that a call may take
 * Throws Faults 'bad-reward' (exit 2) where the module has no function or gives something else than a number a row.
 */
export const functionReward = async (
  file: string,
  seconds: number,
): Promise<{ of: RewardSource['of']; close(): Promise<void> }> => {
  const start = () => openWorker(file, seconds)
  let worker = await start()
  const call = async (answers: readonly Answered[]): Promise<Reply> => {
    const reply = await worker.ask(answers.map(rowOf))
    if (reply.wrong) throw badInput('bad-reward', `its function ${reply.wrong}`, { file })
    if (reply.late) worker = await start()
    return reply
  }
  return {
    of: async (answers) => {
      const { values, threw, late } = await call(answers)
      if (values) return values.map((value) => (Number.isFinite(value) ? { value } : failed(`${file} gave ${value}`)))
      if (late) return answers.map(() => failed(`${file} took more than ${seconds} s (--reward-timeout)`))
      return oneByOne(answers, call, `${file} threw: ${threw}`)
    },
    close: () => worker.close(),
  }
}

/** A row that makes the function throw costs no other row its reward. */
const oneByOne = async (
  answers: readonly Answered[],
  call: (answers: readonly Answered[]) => Promise<Reply>,
  trouble: string,
): Promise<Reward[]> => {
  const rewards: Reward[] = []
  for (const answer of answers) {
    const { values } = answers.length > 1 ? await call([answer]) : {}
    rewards.push(values && Number.isFinite(values[0]) ? { value: values[0] } : failed(trouble))
  }
  return rewards
}

const openWorker = async (file: string, seconds: number) => {
  const url = pathToFileURL(resolve(file)).href
  const jiti = createRequire(import.meta.url).resolve('jiti')
  const worker = new Worker(program, { eval: true, workerData: { url, jiti } })
  // What is thrown beside a call ends the worker; whoever waits next hears of it
  worker.on('error', () => {})
  const within = async (): Promise<Reply> => {
    const timer = new AbortController()
    const gone = once(worker, 'exit', { signal: timer.signal }).then((): Reply => ({ threw: 'it ended the process' }))
    const late = new Promise<Reply>((done) => {
      const id = setTimeout(() => done({ late: true }), seconds * 1000)
      timer.signal.addEventListener('abort', () => clearTimeout(id))
    })
    const answered = once(worker, 'message', { signal: timer.signal }).then(([reply]) => reply as Reply)
    const reply = await Promise.race([
      answered,
      late,
      gone.catch((error): Reply => ({ threw: (error as Error).message })),
    ]).finally(() => {
      answered.catch(() => {})
      timer.abort()
    })
    if (reply.late) await worker.terminate()
    return reply
  }
  const { unready, late, threw } = await within()
  if (late) throw runFailure('reward', `did not load within ${seconds} s (--reward-timeout)`, { file })
  if (unready ?? threw) {
    await worker.terminate()
    throw badInput('bad-reward', `cannot be used as a reward: ${unready ?? threw}`, { file })
  }
  worker.unref()
  return {
    async ask(rows: readonly object[]): Promise<Reply> {
      worker.ref()
      worker.postMessage(rows)
      const reply = await within()
      worker.unref()
      return reply
    },
    close: async () => void (await worker.terminate()),
  }
}
