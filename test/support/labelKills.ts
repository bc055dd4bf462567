/**
 * The studio's server, killed (SIGKILL) while annotators label: again and again on one folder. A label that was acknowledged must
 * be in the store afterwards, once; a request without an answer is sent again, and must not be there twice.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { openDatabase } from '../../src/store/database.node.ts'
import { migrations } from '../../src/studio/labels/schema.ts'
import { rng } from '../../src/util/rng.ts'

const attune = fileURLToPath(new URL('../../bin/attune.js', import.meta.url))
const ownerToken = 'owner-of-the-killed-studio'

type Server = { child: ChildProcess; url: string; exited: Promise<void> }

const start = async (folder: string): Promise<Server> => {
  const child = spawn(process.execPath, [attune, 'studio', folder, '--port', '0', '--json', '--token-env', 'OWNER'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, OWNER: ownerToken },
  })
  const exited = new Promise<void>((done) => child.once('exit', () => done()))
  const [line] = await Promise.race([
    new Promise<string[]>((done) => createInterface(child.stdout!).once('line', (text) => done([text]))),
    exited.then((): string[] => {
      throw new Error('the server ended before it listened')
    }),
  ])
  return { child, url: JSON.parse(line).url, exited }
}

const send = async (url: string, token: string, method: string, path: string, body?: object) => {
  const response = await fetch(`${url}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  return { status: response.status, body: await response.json() }
}

type Label = { requestId: string; task: number; body: object }

/** Somebody who labels tasks, again and again, and sends what got no answer again. */
type Annotator = { token: string; n: number; waiting?: Label }

const labels = async (
  url: string,
  annotator: Annotator,
  name: string,
  tasks: readonly number[],
  acknowledged: Map<string, number>,
) => {
  for (;;) {
    if (!annotator.waiting) {
      const task = tasks[annotator.n % tasks.length]
      const view = (await send(url, annotator.token, 'GET', `/tasks/${task}`)).body
      const requestId = `${name}-${++annotator.n}`
      const value = { ranks: annotator.n % 2 ? [1, 2] : [2, 1], note: requestId }
      const rest = { version: view.version, shown: view.shown, seconds: 1, touched: true }
      annotator.waiting = { requestId, task, body: { requestId, value, ...rest } }
    }
    const { requestId, task, body } = annotator.waiting
    const answer = await send(url, annotator.token, 'POST', `/tasks/${task}/votes`, body)
    if (answer.status !== 200) throw new Error(`${requestId}: ${answer.status} ${JSON.stringify(answer.body)}`)
    acknowledged.set(requestId, answer.body.vote.id)
    annotator.waiting = undefined
  }
}

export type KillReport = {
  kills: number
  /** Labels that were acknowledged. */
  acknowledged: number
  /** Requests that got no answer and were sent again. */
  repeated: number
  lost: string[]
  doubled: string[]
  /** What else is wrong with the store. */
  broken: string[]
}

export const killLabelling = async (
  folder: string,
  { kills, seed, onKill = () => {} }: { kills: number; seed: number; onKill?(report: KillReport): void },
): Promise<KillReport> => {
  const report: KillReport = { kills: 0, acknowledged: 0, repeated: 0, lost: [], doubled: [], broken: [] }
  const acknowledged = new Map<string, number>()
  const random = rng(seed, 0x6b696c6c)
  let server = await start(folder)
  const { annotators, tasks } = await prepare(server.url)
  try {
    for (let n = 0; n < kills; n++) {
      const wanted = acknowledged.size + Math.floor(random.uniform(2 * n) * 30)
      const until = killed(server, () => acknowledged.size >= wanted, random.uniform(2 * n + 1) * 20)
      const work = annotators.map((one, i) => labels(server.url, one, `annotator${i}`, tasks, acknowledged))
      // Each ends with an error of its connection; any other is a defect
      for (const ended of await Promise.allSettled(work))
        if (
          ended.status === 'rejected' &&
          !/fetch failed|terminated|other side closed|ECONN/.test(String(ended.reason))
        )
          report.broken.push(String(ended.reason))
      await until
      report.kills++
      report.repeated += annotators.filter(({ waiting }) => waiting).length
      report.acknowledged = acknowledged.size
      check(folder, acknowledged, report, n % 50 === 0 || n === kills - 1)
      onKill(report)
      server = await start(folder)
    }
  } finally {
    server.child.kill('SIGKILL')
    await server.exited
  }
  return report
}

/** Kills a server some milliseconds after this is true, or after ten seconds. */
const killed = async ({ child, exited }: Server, isTime: () => boolean, milliseconds: number) => {
  const sleep = (time: number) => new Promise((done) => setTimeout(done, time))
  for (const begun = Date.now(); !isTime() && Date.now() - begun < 10_000; ) await sleep(5)
  await sleep(milliseconds)
  child.kill('SIGKILL')
  await exited
}

const prepare = async (url: string) => {
  const own = (method: string, path: string, body?: object) => send(url, ownerToken, method, path, body)
  const project = (await own('POST', '/projects', { requestId: 'p', name: 'killed', settings: { overlap: 10 } })).body
    .id
  const rows = Array.from({ length: 40 }, (_, i) => ({
    prompt: `question ${i}`,
    responses: [{ text: 'a' }, { text: 'b' }],
  }))
  await own('POST', `/projects/${project}/import`, { requestId: 'i', rows })
  const annotators: Annotator[] = []
  for (const name of ['Ann', 'Bob', 'Cid', 'Dan']) {
    const { body } = await own('POST', '/annotators', { requestId: name, name, role: 'annotate', projects: [project] })
    annotators.push({ token: new URL(body.link).searchParams.get('token')!, n: 0 })
  }
  const table = (await own('GET', `/projects/${project}/tasks`)).body.rows as { id: number }[]
  return { annotators, tasks: table.map(({ id }) => id) }
}

/** Compares the store with what was acknowledged, and with itself. */
const check = (folder: string, acknowledged: ReadonlyMap<string, number>, report: KillReport, whole: boolean) => {
  const db = openDatabase(join(folder, 'labels.db'), migrations)
  try {
    const stored = new Map<string, number[]>()
    for (const { id, note } of db.all<{ id: number; note: string }>(
      "SELECT id, value ->> 'note' AS note FROM vote WHERE refused = 0",
    ))
      stored.set(note, [...(stored.get(note) ?? []), id])
    for (const [requestId, vote] of acknowledged)
      if (!stored.get(requestId)?.includes(vote)) report.lost.push(requestId)
    for (const [note, ids] of stored) if (ids.length > 1) report.doubled.push(note)
    const refused = db.get<{ n: number }>('SELECT count(*) AS n FROM vote WHERE refused = 1')!.n
    if (refused) report.broken.push(`${refused} votes were refused as conflicts`)
    const counts = db.get<{ n: number }>(
      `SELECT count(*) AS n FROM task t WHERE votes <> (SELECT count(*) FROM current WHERE task = t.id AND pass = 0)`,
    )!.n
    if (counts) report.broken.push(`${counts} tasks have another number of votes than is stored with them`)
    const old = db.get<{ n: number }>(
      `SELECT count(*) AS n FROM current c WHERE vote <> (SELECT max(id) FROM vote v WHERE v.task = c.task AND v.person = c.person)`,
    )!.n
    if (old) report.broken.push(`${old} votes count that are not the last ones`)
    if (!whole) return
    const found = db.all<{ integrity_check: string }>('PRAGMA integrity_check')
    if (found[0].integrity_check !== 'ok') report.broken.push(found[0].integrity_check)
  } finally {
    db.close()
  }
}
