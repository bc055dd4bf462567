/** Reward models and judges of the playground: a process each, opened when it is first asked, closed after idle time. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { isUrl } from '../../endpoint/open.node.ts'
import { httpError } from '../../http/errors.ts'
import type { AnswerScore, ScoreRequest, Scorer } from './api.ts'
import { endChild, lastLines, reasonIn } from './children.node.ts'
import type { ScorerMessage, ScorerQuestion } from './scorer.ts'

export type Scorers = {
  /** One score for each answer. Throws HTTP errors with the reason. */
  score(request: ScoreRequest): Promise<AnswerScore[]>
  closeAll(): Promise<void>
}

/** A reward model and a judge, and others that were chosen before. */
const mostOpen = 2

const program = () =>
  fileURLToPath(
    import.meta.url.endsWith('.ts')
      ? new URL('../../../dist/studio/play/scorer.js', import.meta.url)
      : new URL('./scorer.js', import.meta.url),
  )

type Waiting = { resolve(scores: AnswerScore[]): void; reject(error: unknown): void }
type Entry = {
  child: ChildProcess
  ready: Promise<void>
  gone: Promise<void>
  waiting: Map<number, Waiting>
  usedAt: number
}

export const openScorers = ({ root, idle = 15 * 60_000 }: { root: string; idle?: number }): Scorers => {
  const entries = new Map<string, Entry>()
  let questions = 0

  const open = ({ kind, model }: Scorer): Entry => {
    const key = `${kind} ${model}`
    const child = fork(program(), [kind, model], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
    })
    const said = lastLines(child.stderr!)
    const waiting = new Map<number, Waiting>()
    let isReady = () => {}
    let fail = (_: unknown) => {}
    const ready = new Promise<void>((resolve, reject) => {
      isReady = resolve
      fail = reject
    })
    ready.catch(() => {})
    child.on('message', (message: ScorerMessage) => {
      if ('ready' in message) return isReady()
      const asked = waiting.get(message.id)
      waiting.delete(message.id)
      if ('scores' in message) asked?.resolve(message.scores)
      else asked?.reject(httpError(400, message.error))
    })
    const gone = new Promise<void>((resolve) => {
      const end = () => {
        if (entries.get(key) === entry) entries.delete(key)
        const error = httpError(400, reasonIn(said()))
        fail(error)
        for (const { reject } of waiting.values()) reject(error)
        resolve()
      }
      child.once('close', end)
      child.once('error', end)
    })
    const entry: Entry = { child, ready, gone, waiting, usedAt: Date.now() }
    entries.set(key, entry)
    return entry
  }

  const close = (entry: Entry) => endChild(entry.child, entry.gone)

  const makeRoom = () => {
    if (entries.size < mostOpen) return
    const [oldest] = [...entries.values()].sort((a, b) => a.waiting.size - b.waiting.size || a.usedAt - b.usedAt)
    void close(oldest)
  }

  const idleCheck = setInterval(
    () => {
      for (const entry of entries.values())
        if (entry.waiting.size === 0 && Date.now() - entry.usedAt > idle) void close(entry)
    },
    Math.min(30_000, idle / 2),
  )
  idleCheck.unref()

  return {
    async score({ scorer, prompt, answers }) {
      if (scorer.kind === 'reward' && isUrl(scorer.model))
        throw httpError(400, 'a reward model is a folder, a run or a hub id; choose a judge for a server', {
          param: 'scorer',
        })
      let entry = entries.get(`${scorer.kind} ${scorer.model}`)
      if (!entry) {
        makeRoom()
        entry = open(scorer)
      }
      const { child, ready, waiting } = entry
      entry.usedAt = Date.now()
      await ready
      const id = questions++
      const scores = await new Promise<AnswerScore[]>((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        child.send({ id, prompt, answers } satisfies ScorerQuestion)
      })
      entry.usedAt = Date.now()
      return scores
    },
    async closeAll() {
      clearInterval(idleCheck)
      await Promise.all([...entries.values()].map(close))
    },
  }
}
