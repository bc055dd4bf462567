/**
 * A folder to show the studio with: a model and rows, recorded runs of the tiny model, a report, and in the label store projects
 * of every mode with the votes of three people. docs/studioPictures.mjs photographs it, bench/studioPage.mjs measures it, and
 * test/browser/studioPages.test.ts looks at every page of it.
 */
import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '..', '..')
const bin = join(root, 'bin', 'attune.js')

const learned = '--epochs 20 --max-steps 60'
/** What the recorded runs and the report were made by. */
const commands = [
  `sft --model model --data stories.jsonl ${learned} --learning-rate 1e-3 --output attune-runs/stories-sft`,
  `dpo --model model --data friends.jsonl ${learned} --learning-rate 3e-4 --output attune-runs/friends-dpo`,
  `dpo --model model --data friends.jsonl ${learned} --learning-rate 3e-4 --beta 0.5 --output attune-runs/friends-dpo-beta-0.5`,
  `reward --model model --data rankings.jsonl ${learned} --output attune-runs/reward`,
  'compare tuned=attune-runs/friends-dpo --base model --data openings.jsonl --reward reward.mjs --samples 2 --max-new-tokens 24 --no-checkpoints --output compare',
]
const reward = `export default (rows) => rows.map(({ completion }) => (completion.match(/friend|happy|smile|play/g) ?? []).length)\n`

/** The small files of the runs and of the report, without weights. */
const recorded = join(here, 'recorded')

const writeInputs = (folder) => {
  mkdirSync(folder, { recursive: true })
  cpSync(join(root, 'test/fixtures/models/stories260K'), join(folder, 'model'), { recursive: true })
  for (const name of ['stories', 'friends', 'rankings', 'openings'])
    cpSync(join(root, 'examples', `${name}.jsonl`), join(folder, `${name}.jsonl`))
  cpSync(join(here, 'answers.jsonl'), join(folder, 'answers.jsonl'))
  writeFileSync(join(folder, 'reward.mjs'), reward)
}

export const makeFolder = (folder) => {
  writeInputs(folder)
  cpSync(recorded, folder, { recursive: true })
}

/** Makes the recorded files anew: `node docs/studio/demonstration.mjs` */
const record = async () => {
  const { sealed } = await import('../../dist/util/sealed.node.js')
  const folder = mkdtempSync(join(tmpdir(), 'attune-record-'))
  const env = { ...process.env, ATTUNE_CACHE: join(folder, '.cache') }
  writeInputs(folder)
  for (const line of commands)
    execFileSync(process.execPath, [bin, ...line.split(' ')], { cwd: folder, env, stdio: 'inherit' })
  rmSync(recorded, { recursive: true, force: true })
  const kept = /^(events\.jsonl|run\.json|samples\.json|config\.json|report\.html|findings\.json)$/
  for (const path of readdirSync(folder, { recursive: true })) {
    const from = join(folder, path)
    if (
      !/^(attune-runs|compare)/.test(path) ||
      !kept.test(basename(path)) ||
      /checkpoints|answers|(sft|reward|beta-0.5).report/.test(path)
    )
      continue
    mkdirSync(dirname(join(recorded, path)), { recursive: true })
    const text = readFileSync(from, 'utf8').replaceAll(folder, '/home/ada/stories')
    const { hash: _, ...value } = path.endsWith('run.json') ? JSON.parse(text) : {}
    writeFileSync(join(recorded, path), path.endsWith('run.json') ? sealed(value, 'run.json', 2).text : text)
  }
  rmSync(folder, { recursive: true })
}

/** @returns the studio of a folder on a free port, and its end */
export const openStudio = async (folder) => {
  const env = { ...process.env, ATTUNE_CACHE: join(folder, '.cache') }
  const args = [bin, 'studio', folder, '--port', '0', '--json']
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((done) => child.once('exit', done))
  for await (const line of createInterface({ input: child.stdout })) {
    const { url, owner } = JSON.parse(line)
    const close = () => {
      child.kill('SIGINT')
      return ended
    }
    return { url, owner, close }
  }
  throw new Error('the studio did not start')
}

const guidelines = `Rank the answers by how much they would help the person who asked.

1. **Right** comes first: a wrong answer is never better than a right one.
2. Then *helpful*: it answers what was asked, and says what is needed, no more.
3. Tie answers that you cannot tell apart.

Formulas are welcome, $e^{i\\pi} + 1 = 0$, where they help.`

const projects = [
  {
    name: 'Helpful answers',
    guidelines,
    settings: { mode: 'rank', overlap: 3, repeats: 0.2, edits: true, spans: true, bothBad: true, blind: true },
    votes: 0.8,
  },
  {
    name: 'Which is better',
    settings: { mode: 'pair', strengths: 3, overlap: 2, bothBad: true },
    responses: 2,
    votes: 0.5,
  },
  {
    name: 'Scales',
    settings: {
      mode: 'rate',
      scales: [
        { name: 'Right', min: 1, max: 5, low: 'wrong', high: 'right' },
        { name: 'Polite', min: 1, max: 5, low: 'rude', high: 'kind' },
      ],
    },
    votes: 0.2,
  },
  { name: 'Best of four', settings: { mode: 'best' }, votes: 0 },
  { name: 'Good or bad', settings: { mode: 'good' }, responses: 1, votes: 0 },
  { name: 'Better words', settings: { mode: 'edit' }, responses: 1, votes: 0 },
]
const people = [
  { name: 'Ada', role: 'annotate' },
  { name: 'Grace', role: 'annotate' },
  { name: 'Katherine', role: 'adjudicate' },
]

/** How good the answers of a task are, as a person of the demonstration sees it: alike for all, with some noise of their own. */
const voteOf = (mode, task, person) => {
  const quality = task.responses.map((_, i) => [1, 3, 2.6, 1.6][i] + Math.sin(task.id * 7 + i * 13 + person * 29) * 1.2)
  const sorted = [...quality].sort((a, b) => b - a)
  const ranks = quality.map((value) => sorted.indexOf(value) + 1)
  if (mode === 'rank') return { ranks, ...(task.id % 4 === person && { note: 'The second is too long.' }) }
  if (mode === 'pair') {
    const preference = quality[0] > quality[1] ? -2 : 1
    return { ranks, preference }
  }
  const rating = (value) => Math.max(1, Math.min(5, Math.round(value + 1)))
  return { ratings: quality.map((value) => ({ Right: rating(value), Polite: rating(value + 0.7) })) }
}

/** Fills the label store over the studio's own routes. @returns what the pages' addresses hold */
export const fillStore = async ({ url, owner }) => {
  const request = async (token, method, path, body) => {
    const response = await fetch(`${url}/api${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify({ requestId: randomUUID(), ...body }),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response.status === 204 ? undefined : response.json()
  }
  const tokenOf = (link) => new URL(link, url).searchParams.get('token')
  const own = tokenOf(owner)
  const rows = readFileSync(join(here, 'answers.jsonl'), 'utf8').trim().split('\n').map(JSON.parse)
  const ids = []
  for (const { name, guidelines, settings, responses = 4 } of projects) {
    const { id } = await request(own, 'POST', '/projects', { name, guidelines, settings: { seed: 1, ...settings } })
    ids.push(id)
    const cut = rows.map((row) => ({ ...row, responses: row.responses.slice(4 - responses).slice(0, responses) }))
    await request(own, 'POST', `/projects/${id}/import`, { rows: cut })
  }
  const tokens = []
  for (const person of people) {
    const { link } = await request(own, 'POST', '/annotators', { ...person, projects: ids })
    tokens.push(tokenOf(link))
  }
  for (const [i, { settings, votes }] of projects.entries())
    for (const [person, token] of [own, ...tokens].entries())
      for (let count = 0; count < Math.round(votes * rows.length) - (person === 0 ? 4 : person); count++) {
        const task = await request(token, 'GET', `/projects/${ids[i]}/next`)
        if (task.done) break
        await request(token, 'POST', `/tasks/${task.id}/votes`, {
          version: task.version,
          value: voteOf(settings.mode, task, person),
          shown: task.shown,
          seconds: 6 + ((task.id * 7 + person * 5) % 19),
          touched: true,
        })
      }
  return { projects: ids, tokens }
}

/** Every page of the studio: a name for its pictures, its address, and keys that are pressed before the picture that docs/ has. */
export const pagesOf = ({ projects: [rank, pair, rate, best, good, edit] }) => [
  { name: 'start', path: '/' },
  { name: 'projects', path: '/label' },
  { name: 'people', path: '/label/people' },
  { name: 'project', path: `/label/${rank}` },
  { name: 'tasks', path: `/label/${rank}/tasks` },
  { name: 'agreement', path: `/label/${rank}/agreement` },
  { name: 'adjudicate', path: `/label/${rank}/adjudicate` },
  { name: 'settings', path: `/label/${rank}/settings` },
  { name: 'label-rank', path: `/label/${rank}/task`, keys: ['1', 'j', '3', 'k'] },
  { name: 'label-pair', path: `/label/${pair}/task` },
  { name: 'label-rate', path: `/label/${rate}/task` },
  { name: 'label-best', path: `/label/${best}/task` },
  { name: 'label-good', path: `/label/${good}/task` },
  { name: 'label-edit', path: `/label/${edit}/task` },
  { name: 'runs', path: '/runs' },
  { name: 'run', path: '/runs/friends-dpo' },
  { name: 'compare', path: '/runs/compare?run=friends-dpo&run=friends-dpo-beta-0.5' },
  { name: 'train', path: '/train' },
  { name: 'train-form', path: '/train?method=dpo' },
  { name: 'train-labels', path: `/train?project=${rank}` },
  { name: 'loop', path: `/train/loop/${rank}` },
  { name: 'playground', path: '/play' },
  { name: 'reports', path: '/reports' },
  { name: 'report', path: '/reports?path=compare%2Freport.html' },
  { name: 'no-page', path: '/nothing/here' },
]

if (process.argv[1] === fileURLToPath(import.meta.url)) await record()
