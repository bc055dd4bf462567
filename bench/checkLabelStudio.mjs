/**
 * Pushes to a real Label Studio server, labels there, and pulls: `npm run check:label-studio -- --url URL --token-env NAME`. Makes a
 * project with a template of a list and a ranker, pushes tasks, adds annotations as an annotator would (through the server's API), pulls,
 * and compares with what was said; does the same with the server's own JSON export, with a push that is sent twice, and with every
 * mode of labelling that attune writes a template for. Exits with 1 where anything differs.
 *
 * A server for it: `pip install label-studio`, then
 * `LABEL_STUDIO_BASE_DATA_DIR=DIR COLLECT_ANALYTICS=False label-studio start --no-browser --username a@b.example --password ...`;
 * a token is under Account & Settings.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { pullVotes } from '../dist/feedback/labelStudio/pull.js'
import { pushTasks } from '../dist/feedback/labelStudio/push.js'
import { openServer } from '../dist/feedback/labelStudio/server.js'
import { writeTemplate } from '../dist/feedback/labelStudio/writeTemplate.js'

const { values: flags } = parseArgs({
  options: { url: { type: 'string' }, 'token-env': { type: 'string', default: 'LABEL_STUDIO_API_KEY' } },
})
const token = process.env[flags['token-env']]
if (!flags.url || !token) {
  console.error('usage: npm run check:label-studio -- --url URL --token-env NAME')
  process.exit(2)
}
const repo = fileURLToPath(new URL('..', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'attune-label-studio-'))
const server = openServer({ url: flags.url, token })
const stamp = Date.now().toString(36)

/** A command of attune with the token in its environment; its rows or its report. */
const attune = async (...args) => {
  const env = { ...process.env, LABEL_STUDIO_API_KEY: token }
  const { stdout } = await promisify(execFile)(process.execPath, [join(repo, 'bin/attune.js'), ...args, '--json'], { env, cwd: work })
  return JSON.parse(stdout.trim().split('\n').at(-1))
}
const rowsOf = (file) => readFileSync(join(work, file), 'utf8').trim().split('\n').map((line) => JSON.parse(line))
const write = (file, rows) => writeFileSync(join(work, file), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))

let failed = 0
const step = async (what, run) => {
  const start = performance.now()
  try {
    const facts = await run()
    console.log(`ok      ${what}: ${facts} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failed++
    console.log(`FAILED  ${what}: ${error.message}`)
  }
}

const { release } = await server.get('/api/version')
console.log(`Label Studio ${release} at ${server.url}`)

// ---- a project with a list and a ranker ----------------------------------------------------------------------------------

const count = 120
const tasks = Array.from({ length: count }, (_, i) => ({
  id: i + 1,
  prompt: `Question ${i} & <b>"what"</b>? 中文 🙂`,
  responses: [`answer a${i}`, `answer b${i}\nsecond line`, `answer c${i}`],
}))
/** The order that an annotator gives to task i. */
const orderOf = (i) => [['1', '2', '3'], ['3', '1', '2'], ['2', '3', '1']][i % 3]
const ranksOf = (i) => ['1', '2', '3'].map((id) => orderOf(i).indexOf(id) + 1)
const title = `attune ${stamp}`
let project

await step("a project is made with the notebook's template", async () => {
  const label_config = readFileSync(join(repo, 'test/fixtures/labelStudio/ranker.xml'), 'utf8')
  project = await server.post('/api/projects/', { title, label_config })
  return `number ${project.id}`
})

await step('tasks are pushed, the second time none', async () => {
  write('tasks.jsonl', tasks)
  const push = () => attune('export', 'tasks.jsonl', '--to', 'label-studio', '--server', server.url, '--project', title)
  const [first, second] = [await push(), await push()]
  assert.deepEqual([first.tasks, first.already, second.tasks, second.already], [count, 0, 0, count])
  return `${first.tasks} sent, then ${second.already} there already`
})

await step('annotators rank them on the server', async () => {
  const { tasks: there } = await server.get(`/api/tasks?project=${project.id}&page_size=${count}`)
  for (const [i, task] of there.entries()) {
    if (i % 10 === 9) continue
    const result = [
      { from_name: 'rank', to_name: 'response_choices', type: 'ranker', value: { ranker: { rank: orderOf(i) } } },
    ]
    await server.post(`/api/tasks/${task.id}/annotations/`, { result, lead_time: 1.5 + i, was_cancelled: i % 10 === 8 })
  }
  return `${count} tasks, of which 1 in 10 is skipped and 1 in 10 left open`
})

const checkRows = (rows) => {
  assert.equal(rows.length, count - 2 * Math.floor(count / 10))
  for (const row of rows) {
    const i = row.id - 1
    assert.deepEqual([row.prompt, row.responses], [tasks[i].prompt, tasks[i].responses])
    assert.deepEqual([row.ranks, row.lead_time], [ranksOf(i), 1.5 + i])
    assert.ok(Number.isInteger(row.annotator) && Number.isInteger(row.annotation) && row.created_at)
  }
}

await step('pulled rows are what was said', async () => {
  const report = await attune('import', '--from', 'label-studio', '--server', server.url, '--project', title, '--output', 'pulled.jsonl')
  assert.deepEqual(report.dropped, { cancelled: 12, 'no-vote': 12 })
  checkRows(rowsOf('pulled.jsonl'))
  return `${report.rows} rows; dropped ${JSON.stringify(report.dropped)}`
})

await step("the server's own JSON export is read as the same", async () => {
  const exported = await server.get(`/api/projects/${project.id}/export?exportType=JSON&download_all_tasks=true`)
  writeFileSync(join(work, 'export.json'), JSON.stringify(exported))
  const report = await attune('import', 'export.json', '--from', 'label-studio', '--output', 'exported.jsonl')
  assert.deepEqual(report.dropped, { cancelled: 12, 'no-vote': 12 })
  assert.deepEqual(rowsOf('exported.jsonl'), rowsOf('pulled.jsonl'))
  return `${report.rows} rows, equal to those pulled`
})

// ---- votes, predictions and answers of several annotators, there and back -------------------------------------------------

await step('rows with votes and predictions come back as they went', async () => {
  const rows = tasks.slice(0, 20).flatMap((task, i) => [
    { ...task, ranks: [1, 2, 3], annotation: `v-${i}`, annotator: 'ann', lead_time: 2.25, created_at: '2026-01-01T00:00:00Z', answers: { note: `n ${i}`, tags: ['x', 'y'] } },
    { ...task, ranks: [3, 1, 2], annotation: i, annotator: 7, created_at: '2026-01-02T00:00:00Z' },
    { ...task, ranks: [2, 3, 1], annotator: 'reward-model', prediction: true, score: 0.5 },
  ])
  write('votes.jsonl', rows)
  const pushed = await attune('export', 'votes.jsonl', '--to', 'label-studio', '--server', server.url, '--project', `${title} votes`)
  assert.deepEqual([pushed.made, pushed.tasks, pushed.annotations, pushed.predictions], [true, 20, 40, 20])
  await attune('import', '--from', 'label-studio', '--server', server.url, '--project', `${title} votes`, '--predictions', '--output', 'votes-back.jsonl')
  const back = rowsOf('votes-back.jsonl')
  const same = (row) => JSON.stringify(row, (_, value) => (value && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value))
  assert.deepEqual(back.map(same).sort(), rows.map(same).sort())
  // And as a file that the server's own import takes
  const file = await attune('export', 'votes.jsonl', '--to', 'label-studio', '--output', 'votes.json')
  const made = await server.post('/api/projects/', { title: `${title} file`, label_config: file.template })
  const tasksOfFile = JSON.parse(readFileSync(join(work, 'votes.json'), 'utf8')).map((task) => ({
    ...task,
    // Annotators by number must have an account
    annotations: task.annotations.map(({ completed_by, ...annotation }) => annotation),
  }))
  const taken = await server.post(`/api/projects/${made.id}/import`, tasksOfFile)
  assert.deepEqual([taken.task_count, taken.annotation_count, taken.prediction_count], [20, 40, 20])
  return `${back.length} rows of 20 tasks; the file is taken by the server, too`
})

// ---- every mode ----------------------------------------------------------------------------------------------------------

const vote = (ranks, more = {}) => ({ ranks, vote: { annotator: 'ann', annotation: 'a', created_at: 'x', ...more } })
const modes = {
  rank: [{ unranked: true }, ['a', 'b', 'c'], vote([2, 1, null])],
  pair: [{ strengths: 3, bothBad: true }, ['a', 'b'], vote([2, 1], { answers: { strength: 2, all_bad: ['all are bad'] } })],
  rate: [{ scales: [{ name: 'helpful', max: 7 }] }, ['a', 'b'], vote([2, 1], { answers: { 'helpful-1': 3, 'helpful-2': 6 } })],
  best: [{}, ['a', 'b', 'c'], vote([null, 1, null])],
  good: [{}, ['a'], { ...vote([null]), label: false }],
  edit: [{}, ['a'], undefined],
}
for (const [mode, [settings, responses, said]] of Object.entries(modes))
  await step(`mode ${mode}: its template is taken, and a vote comes back`, async () => {
    const css = '.a{color:red}'
    const template = writeTemplate({ mode, responses: responses.length, title: 'Read with care', css, ...settings })
    const task = { id: 't', prompt: 'p & q', responses, votes: said ? [said] : [] }
    const changed = []
    const pushed = await pushTasks(server, [task], { project: `${title} ${mode}`, template, changed: (what) => changed.push(what) })
    assert.deepEqual(changed, [])
    if (mode === 'edit') {
      const { tasks: there } = await server.get(`/api/tasks?project=${pushed.project}`)
      const result = [{ from_name: 'edit', to_name: 'response1', type: 'textarea', value: { text: ['a better'] } }]
      await server.post(`/api/tasks/${there[0].id}/annotations/`, { result })
    }
    const { votes } = await pullVotes(server, String(pushed.project))
    const [row] = [...votes.rankings, ...votes.unpaired]
    if (mode === 'edit') assert.deepEqual([row.responses, row.ranks], [['a better', 'a'], [1, 2]])
    else if (mode === 'good') assert.deepEqual([row.completion, row.label, row.vote], ['a', false, { task: 't', ...said.vote }])
    else assert.deepEqual([row.responses, row.ranks, row.vote], [responses, said.ranks, { task: 't', ...said.vote }])
    return JSON.stringify(row.ranks ?? row.label)
  })

rmSync(work, { recursive: true })
console.log(failed ? `${failed} of the checks failed` : 'all checks passed')
process.exitCode = failed ? 1 : 0
