/**
 * The label store under load: 20 annotators, 10,000 tasks with four responses each, 100,000 votes. The store is filled with
 * all votes but those that are then sent over HTTP to `attune studio`, each annotator with a pause between votes. Prints the
 * median and 99th percentile of each kind of request, the time of the agreement page, and the server's memory along the way.
 *
 *     node bench/studio.mjs        # VOTES=4800 over HTTP (an hour of 20 people at one vote in 15 s), PAUSE=1000 (ms), FOLDER (kept)
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDatabase } from '../dist/store/database.node.js'
import { addAnnotator } from '../dist/studio/labels/people.js'
import { addProject } from '../dist/studio/labels/projects.js'
import { shownOrder } from '../dist/studio/labels/next.js'
import { migrations } from '../dist/studio/labels/schema.js'
import { settingsOf } from '../dist/studio/labels/settings.js'
import { addTask, readTask } from '../dist/studio/labels/tasks.js'
import { storeVote } from '../dist/studio/labels/voting.js'
import { newToken } from '../dist/studio/session.js'

const people = 20
const tasks = Number(process.env.TASKS ?? 10_000)
const overlap = 10
const sent = Number(process.env.VOTES ?? 4800)
const pause = Number(process.env.PAUSE ?? 1000)
const responses = 4

const words = 'the sky is blue because light of short waves is scattered more by small things than light of long ones'.split(' ')
const textOf = (seed, length) => Array.from({ length }, (_, i) => words[(seed * 7 + i * 3 + ((i * seed) % 5)) % words.length]).join(' ')

const settings = { mode: 'rank', overlap, repeats: 0.05, blind: true }

/** Better responses have lower numbers, mostly. */
const ranksOf = (random) => {
  const quality = Array.from({ length: responses }, (_, i) => i + 3 * random())
  return quality.map((own) => 1 + quality.filter((other) => other < own).length)
}

const randomOf = (seed) => () => {
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed / 2147483648
}

const fill = (file) => {
  const db = openDatabase(file, migrations)
  const tokens = Array.from({ length: people }, newToken)
  let project
  const ids = []
  db.transaction(() => {
    project = addProject(db, { name: 'bench', guidelines: '', settings })
    tokens.forEach((token, i) => addAnnotator(db, { name: `annotator ${i + 1}`, role: 'annotate', projects: [project] }, token))
    for (let i = 0; i < tasks; i++) {
      const row = {
        prompt: `Question ${i}: ${textOf(i, 30)}?`,
        responses: Array.from({ length: responses }, (_, j) => ({ text: textOf(i + j + 1, 60 + 20 * j), source: `model-${j}` })),
      }
      ids.push(addTask(db, project, settingsOf(settings), row, i + 1).id)
    }
  })
  const full = settingsOf(settings)
  const random = randomOf(7)
  const wanted = tasks * overlap - sent
  let n = 0
  for (let at = 0; n < wanted; at += 100)
    db.transaction(() => {
      for (const id of ids.slice(at, at + 100)) {
        const task = readTask(db, id)
        for (let k = 0; k < overlap && n < wanted; k++, n++) {
          const person = ((id + k * 2 + (id % 2)) % people) + 1
          const shown = shownOrder(full, id, person, 0, responses)
          const given = { requestId: '', version: 0, value: { ranks: ranksOf(random) }, shown, seconds: 5 + 20 * random(), touched: true }
          storeVote(db, task, full, person, given)
          db.run('INSERT INTO request VALUES (?, ?, ?, ?, ?)', person, `fill-${n}`, `vote ${id}`, '{"vote":1,"version":1}', new Date().toISOString())
        }
      }
    })
  db.close()
  return { project, tokens }
}

const open = async (folder) => {
  const attune = fileURLToPath(new URL('../bin/attune.js', import.meta.url))
  const child = spawn(process.execPath, [attune, 'studio', folder, '--port', '0', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const line = await new Promise((resolve) => child.stdout.once('data', (data) => resolve(String(data).split('\n')[0])))
  const { url, owner } = JSON.parse(line)
  return { child, url, owner: new URL(owner).searchParams.get('token') }
}

const times = new Map()
const clientOf = (url, token) => async (kind, method, path, body) => {
  const start = performance.now()
  const response = await fetch(`${url}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const own = times.get(kind) ?? times.set(kind, []).get(kind)
  own.push(performance.now() - start)
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text && response.headers.get('content-type')?.startsWith('application/json') ? JSON.parse(text) : text
}

const rssOf = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024
/** Seconds of CPU that a process has used. */
const cpuOf = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

let left = sent
const annotate = async (client, project, random) => {
  await sleep(random() * pause)
  for (let n = 0; left > 0; n++) {
    const task = await client('next', 'GET', `/projects/${project}/next`)
    if (task.done) return
    left--
    const value = { ranks: ranksOf(random) }
    const { id, version, shown } = task
    await client('draft', 'PUT', `/tasks/${id}/draft`, { value: { ranks: [1, null, null, null] } })
    await sleep(pause * (0.5 + random()))
    const vote = { requestId: crypto.randomUUID(), version, shown, value, seconds: 5 + 20 * random(), touched: true }
    if (n % 20 === 7) await client('skip', 'POST', `/tasks/${id}/skip`, { requestId: crypto.randomUUID(), version, reason: 'hard', seconds: 2 })
    else await client('vote', 'POST', `/tasks/${id}/votes`, vote)
    if (n % 20 === 13) await client('vote, sent again', 'POST', `/tasks/${id}/votes`, vote)
    if (n % 20 === 17) await client('undo', 'POST', `/projects/${project}/undo`, { requestId: crypto.randomUUID() })
    if (n % 10 === 3) await client('own tasks', 'GET', `/projects/${project}/tasks?filter=labelled&sort=-at`)
    if (n % 10 === 5) await client('task', 'GET', `/tasks/${id}`)
    if (n % 10 === 7) await client('progress', 'GET', `/projects/${project}/progress`)
  }
}

/** The owner looks at everything, again and again. */
const watch = async (client, project, random) => {
  while (left > 0) {
    await client('projects', 'GET', '/projects')
    const offset = Math.floor(random() * 9000)
    await client('tasks', 'GET', `/projects/${project}/tasks?offset=${offset}`)
    await client('tasks by disagreement', 'GET', `/projects/${project}/tasks?sort=-disagreement&offset=${offset}`)
    await client('tasks by time', 'GET', `/projects/${project}/tasks?sort=-at`)
    await client('tasks of a state', 'GET', `/projects/${project}/tasks?filter=labelled&sort=seconds`)
    await client('tasks of one person', 'GET', `/projects/${project}/tasks?annotator=annotator%203&sort=-disagreement`)
    await client('tasks searched', 'GET', `/projects/${project}/tasks?search=question%20${offset}`)
    const { rows } = await client('adjudication', 'GET', `/projects/${project}/adjudication`)
    await client('task with votes', 'GET', `/tasks/${rows[0].id}?adjudicate=1`)
    await client('history', 'GET', `/tasks/${rows[0].id}/history`)
    await client('agreement, votes changed', 'GET', `/projects/${project}/agreement`)
    await client('annotators', 'GET', '/annotators')
    await sleep(2000)
  }
}

const quantile = (values, q) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))]

const main = async () => {
  const folder = process.env.FOLDER ?? mkdtempSync(join(tmpdir(), 'attune-studio-bench-'))
  const start = performance.now()
  const { project, tokens } = fill(join(folder, 'labels.db'))
  console.log(`filled in ${((performance.now() - start) / 1000).toFixed(0)} s, ${(statSync(join(folder, 'labels.db')).size / 2 ** 20).toFixed(0)} MiB`)
  const { child, url, owner } = await open(folder)
  const series = [[0, rssOf(child.pid)]]
  try {
    const asOwner = clientOf(url, owner)
    await asOwner('agreement, first time', 'GET', `/projects/${project}/agreement`)
    await asOwner('agreement, as before', 'GET', `/projects/${project}/agreement`)
    const cpu = cpuOf(child.pid)
    const begun = performance.now()
    const sampler = setInterval(() => series.push([(performance.now() - begun) / 1000, rssOf(child.pid)]), 5000)
    await Promise.all([
      ...tokens.map((token, i) => annotate(clientOf(url, token), project, randomOf(i + 1))),
      watch(asOwner, project, randomOf(99)),
    ])
    clearInterval(sampler)
    const seconds = (performance.now() - begun) / 1000
    const requests = [...times.values()].reduce((sum, own) => sum + own.length, 0)
    console.log(
      `${sent} votes over HTTP in ${seconds.toFixed(0)} s, ${(requests / seconds).toFixed(1)} requests a second, ${(((cpuOf(child.pid) - cpu) / requests) * 1000).toFixed(1)} ms of CPU each; other load of the machine: ${loadavg()[0].toFixed(1)} processes on ${cpus().length} cores`,
    )
    await asOwner('agreement, as before', 'GET', `/projects/${project}/agreement`)
    for (const form of ['rows', 'preference', 'votes']) {
      const text = await asOwner(`export ${form}`, 'GET', `/projects/${project}/export?form=${form}`)
      console.log(`export ${form}: ${(text.length / 2 ** 20).toFixed(1)} MiB`)
    }
    console.table(
      Object.fromEntries(
        Array.from(times, ([kind, own]) => [
          kind,
          { requests: own.length, 'median ms': +quantile(own, 0.5).toFixed(1), 'p99 ms': +quantile(own, 0.99).toFixed(1) },
        ]),
      ),
    )
    series.push([seconds, rssOf(child.pid)])
    const shown = series.filter((_, i) => i % Math.ceil(series.length / 12) === 0 || i === series.length - 1)
    console.log(`server's memory: ${shown.map(([at, mib]) => `${at.toFixed(0)} s ${mib.toFixed(0)} MiB`).join(', ')}`)
    const half = series.slice(Math.floor(series.length / 2), -1).map(([, mib]) => mib)
    if (half.length > 1)
      console.log(`over the second half: from ${Math.min(...half).toFixed(0)} to ${Math.max(...half).toFixed(0)} MiB`)
  } finally {
    child.kill('SIGTERM')
    await new Promise((done) => child.once('close', done))
    if (!process.env.FOLDER) rmSync(folder, { recursive: true })
  }
}

await main()
