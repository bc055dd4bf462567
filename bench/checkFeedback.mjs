/**
 * Runs the feedback commands against real servers: `npm run check:feedback -- --model DIR [--llama DIR] [--gguf FILE]`.
 * The servers are `attune serve` with the chat model DIR, and with --llama llama.cpp's own server with the same model as GGUF.
 * `judge`, `bias`, `critique` and `selfreward` ask each of them about a few rows. Prints a table of time, rows and errors by
 * reason; exits with 1 where a command failed, took too long, or its counts do not add up.
 *
 * llama.cpp's server comes with xllamacpp: `pip install --target DIR xllamacpp`. Without --gguf the model is exported (Q8_0).
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { exportGguf } from '../dist/publish/exportGguf.js'
import { openMerged } from '../dist/publish/mergedModel.js'

const { values: flags } = parseArgs({
  options: { model: { type: 'string' }, llama: { type: 'string' }, gguf: { type: 'string' } },
})
if (!flags.model) {
  console.error('usage: npm run check:feedback -- --model DIR [--llama DIR] [--gguf FILE]')
  process.exit(2)
}

const repo = fileURLToPath(new URL('..', import.meta.url))
const attune = join(repo, 'bin', 'attune.js')
const example = (name) => join(repo, 'examples', name)
const work = mkdtempSync(join(tmpdir(), 'attune-feedback-'))
// A cache of its own, or nothing would be asked the second time
const env = { ...process.env, ATTUNE_CACHE: join(work, 'cache') }

/** Seconds that a server may take to start, and a command to end. */
const [startLimit, commandLimit] = [240, 600]
const pairs = 3

// Processes

const children = new Set()
const start = (command, args, options) => {
  const child = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
  children.add(child)
  child.once('close', () => children.delete(child))
  return child
}

/** Its exit status and output; undefined as status where it had to be killed. */
const run = async (command, args) => {
  const child = start(command, args, { cwd: work, env })
  const timer = setTimeout(() => child.kill('SIGKILL'), 1000 * commandLimit)
  const [out, err] = [[], []]
  child.stdin.end()
  child.stdout.on('data', (data) => out.push(data))
  child.stderr.on('data', (data) => err.push(data))
  const status = await new Promise((done) => {
    child.once('error', () => done(undefined))
    child.once('close', (code) => done(code ?? undefined))
  })
  clearTimeout(timer)
  return { status, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }
}

const stop = async (child) => {
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  child.kill()
  while (children.has(child)) await sleep(100)
  clearTimeout(timer)
}

const killAll = () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(work, { recursive: true, force: true })
}
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    killAll()
    process.exit(1)
  })

/** Starts a server that prints its address as JSON. */
const startServer = async (name, command, args, options) => {
  const child = start(command, args, options)
  let [out, err] = ['', '']
  child.stderr.on('data', (data) => {
    err = (err + data).slice(-2000)
  })
  const url = await new Promise((found, failed) => {
    const timer = setTimeout(() => failed(new Error(`${name} did not start in ${startLimit} s`)), 1000 * startLimit)
    child.once('error', failed)
    child.once('close', (code) => failed(new Error(`${name} ended with ${code}\n${err}`)))
    child.stdout.on('data', (data) => {
      out += data
      const url = /"url": ?"([^"]+)"/.exec(out)?.[1]
      if (!url) return
      clearTimeout(timer)
      found(url)
    })
  })
  return { name, url, stop: () => stop(child), ...(await offers(url)) }
}

const attuneServer = () =>
  startServer('attune serve', process.execPath, [attune, 'serve', '--model', resolve(flags.model), '--port', '0', '--json'], { env })

const llamaProgram = `
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], 16384, 4
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[2])
params.hostnames, params.port, params.ui = ['127.0.0.1'], 0, False
server = xllamacpp.Server(params)
print('{"url": "' + server.listening_address + '/v1"}', flush=True)
sys.stdin.read()
`

const llamaServer = async () => {
  const gguf = flags.gguf ? resolve(flags.gguf) : join(work, 'model.gguf')
  if (!flags.gguf) await exportGguf(await openMerged(flags.model), 'Q8_0', gguf)
  const args = ['-c', llamaProgram, gguf, String(availableParallelism())]
  return startServer('llama.cpp', 'python3', args, { env: { ...env, PYTHONPATH: resolve(flags.llama) } })
}

const get = async (url, init) => {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(1000 * startLimit) })
  return response.ok ? response.json() : undefined
}

/** Whether a server tells log-probabilities, and holds a completion to a JSON schema. */
const offers = async (url) => {
  const model = (await get(`${url}/models`)).data[0].id
  const complete = (more) => {
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Yes or no?' }], max_tokens: 2, ...more })
    return get(`${url}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  }
  if (!(await complete({}))) throw new Error(`${url} refuses a plain request`)
  const told = await complete({ logprobs: true, top_logprobs: 2 })
  const schema = { name: 'word', schema: { type: 'object', properties: { word: { type: 'string' } } } }
  const held = await complete({ response_format: { type: 'json_schema', json_schema: schema } })
  return { logprobs: Boolean(told?.choices[0].logprobs), structured: held !== undefined }
}

// What each command must have done. `of` gets its JSON lines, its folder and the server, and gives its rows, its errors by
// reason, and sums that must be equal

const linesOf = (path) =>
  existsSync(path)
    ? readFileSync(path, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
    : []
const total = (counts) => Object.values(counts).reduce((a, b) => a + b, 0)
const counts = (names) => {
  const of = {}
  for (const name of names) of[name] = (of[name] ?? 0) + 1
  return of
}

const ofJudge = ({ lines, dir }) => {
  const end = lines.find(({ event }) => event === 'end')
  const judged = lines.filter(({ event }) => event === undefined)
  return {
    rows: end.n,
    errors: end.errors_by,
    sums: [
      ['rows', end.n, pairs],
      ['judgements printed', judged.length, end.n],
      ['judgements kept', linesOf(join(dir, 'judgements.jsonl')).length, end.n],
      ['errors', judged.filter(({ error }) => error).length, end.errors],
      ['errors by reason', total(end.errors_by), end.errors],
      ['verdicts and errors', total(end.verdicts) + end.errors, end.n],
    ],
  }
}

/** The same command once more: all is kept, nothing is asked. */
const ofJudgeAgain = (given) => {
  const of = ofJudge(given)
  const [plan, end] = ['plan', 'end'].map((name) => given.lines.find(({ event }) => event === name))
  return { ...of, sums: [...of.sums, ['kept', plan.kept, pairs], ['asked', end.asked, 0]] }
}

const ofBias = ({ lines, dir, args }) => {
  const end = lines.find(({ event }) => event === 'end')
  const kept = linesOf(join(dir, 'judgements.jsonl'))
  const trials = counts(kept.map(({ trial }) => trial))
  const of = (trial) => trials[trial] ?? 0
  const solved = kept.filter(({ trial, text }) => trial === 'solutions' && text.trim()).length
  const n = 4
  const asks = args.includes('options') ? 0 : n
  return {
    rows: kept.length,
    errors: counts(kept.flatMap(({ error }) => error ?? [])),
    sums: [
      ['pairs', end.pairs, n],
      ...['pairs', 'renamed', 'math-plain'].map((trial) => [trial, of(trial), n]),
      ...['solutions', 'math-reference'].map((trial) => [trial, of(trial), asks]),
      ['math-own-solution', of('math-own-solution'), solved],
      ['findings', existsSync(join(dir, 'findings.json')), true],
    ],
  }
}

const ofCritique = ({ lines, dir, args }) => {
  const { counts } = lines.find(({ event }) => event === 'result')
  const second = args.includes('--preferences')
  const n = second ? counts.pairs : counts.rows
  const [rows, all] = second ? ['preferences.jsonl', 'pairs.jsonl'] : ['sft.jsonl', 'transcripts.jsonl']
  return {
    rows: n,
    errors: { ...counts.dropped, ...counts.failures },
    sums: [
      ['rows', n, pairs],
      ['kept and dropped', counts.kept + total(counts.dropped), n],
      [rows, linesOf(join(dir, rows)).length, counts.kept],
      [all, linesOf(join(dir, all)).length, n],
    ],
  }
}

const [newPrompts, samples, judgements] = [3, 3, 2]

const ofSelfReward = ({ dir }) => {
  const { iterations } = JSON.parse(readFileSync(join(dir, 'selfreward.json'), 'utf8'))
  const [made] = iterations
  const kept = join(dir, 'iterations', '1')
  const withoutPair = linesOf(join(kept, 'pairs-dropped.jsonl')).length
  return {
    rows: made.judgements,
    errors: made.dropped,
    sums: [
      ['iterations', iterations.length, 1],
      ['new prompts', made.prompts, newPrompts],
      ['judgements', made.judgements, newPrompts * samples * judgements],
      ['judgements kept', linesOf(join(kept, 'judgements.jsonl')).length, made.judgements],
      ['judgements and prompts with and without a result', made.parsed + made.pairs + total(made.dropped), made.judgements + newPrompts],
      ['pairs kept', linesOf(join(kept, 'pairs.jsonl')).length, made.pairs],
      ['prompts with and without a pair', made.pairs + withoutPair, newPrompts],
    ],
  }
}

/** A small model does not come to a score after its reasons. */
const judgePrompt = 'Question: {prompt}\n\nAnswer: {response}\n\nHow good is this answer, from 0 to 5? Write only "Score: " and the number.\n'

/** What a command says, with exit status 2, where the server lacks what it needs. */
const refusals = { structured: /holds no reply to a JSON schema/, logprobs: /tells no log-probabilities/ }

const commandsFor = (url) => {
  const rows = ['--data', example('support-held-out.jsonl')]
  const judge = (...more) => ['judge', '--judge', url, ...rows, '--max-samples', `${pairs}`, ...more]
  const bias = (...more) => ['bias', '--judge', url, ...rows, '--max-samples', '4', ...more]
  const critique = (...more) =>
    ['critique', '--model', url, '--data', example('questions.jsonl'), '--max-samples', `${pairs}`, '--max-new-tokens', '24', '--keep', 'cut', ...more]
  const selfreward = [
    ...['selfreward', '--model', join(repo, 'test/fixtures/models/stories260K'), '--data', example('friends.jsonl'), '--judge', url],
    ...['--judge-prompt', join(work, 'judge.md'), '--iterations', '1', '--num-prompts', `${newPrompts}`, '--num-generations', `${samples}`],
    ...['--num-judgements', `${judgements}`, '--max-new-tokens', '24', '--judge-max-new-tokens', '12', '--sft-max-steps', '2', '--max-steps', '2'],
  ]
  return [
    { name: 'judge', args: judge('--max-new-tokens', '24'), folder: 'judged', of: ofJudge },
    { name: 'judge again', args: judge('--max-new-tokens', '24'), folder: 'judged', of: ofJudgeAgain },
    { name: 'judge --structured', args: judge('--max-new-tokens', '96', '--structured'), folder: 'structured', of: ofJudge, needs: 'structured' },
    { name: 'judge --mode single', args: judge('--max-new-tokens', '24', '--mode', 'single'), folder: 'graded', of: ofJudge },
    { name: 'judge --mode options', args: judge('--mode', 'options'), folder: 'options', of: ofJudge, needs: 'logprobs' },
    { name: 'bias', args: bias('--max-new-tokens', '24'), folder: 'bias', of: ofBias },
    { name: 'bias --mode options', args: bias('--mode', 'options'), folder: 'bias-options', of: ofBias, needs: 'logprobs' },
    { name: 'critique', args: critique(), folder: 'critique', of: ofCritique },
    { name: 'critique --no-chat', args: critique('--no-chat'), folder: 'critique-text', of: ofCritique },
    { name: 'critique --preferences', args: critique('--preferences'), folder: 'critique', of: ofCritique, needs: 'logprobs' },
    { name: 'critique --preferences --no-chat', args: critique('--preferences', '--no-chat'), folder: 'critique-text', of: ofCritique, needs: 'logprobs' },
    { name: 'selfreward', args: selfreward, folder: 'selfreward', of: ofSelfReward },
  ]
}

/** Failures of the server, not of what the model wrote. */
const serverFailures = ['endpoint', 'endpoint-refused', 'endpoint-key', 'no-logprobs']
const lastLine = (text) => text.trim().split('\n').at(-1)?.slice(0, 200) ?? ''
const reasons = (errors) => Object.entries(errors).map(([code, n]) => `${code} ${n}`).join(', ') || '—'

/** Rows, errors, and what is wrong in words. */
const resultOf = ({ of, needs }, server, { status, out, err }, given) => {
  if (status === undefined) return { trouble: [`killed after ${commandLimit} s`] }
  const refusal = needs && !server[needs] ? refusals[needs] : undefined
  if (refusal) {
    const refused = status === 2 && refusal.test(err)
    return { refused, trouble: refused ? [] : [`not refused: exit ${status}: ${lastLine(err)}`] }
  }
  if (status !== 0) return { trouble: [`exit ${status}: ${lastLine(err)}`] }
  const lines = out.split('\n').filter(Boolean).map((line) => JSON.parse(line))
  const { rows, errors, sums } = of({ lines, ...given })
  const unequal = sums.flatMap(([what, is, should]) => (is === should ? [] : [`${what}: ${is}, not ${should}`]))
  const failed = serverFailures.flatMap((code) => (errors[code] ? [`the server failed: ${code}`] : []))
  return { rows, errors, trouble: [...unequal, ...failed] }
}

const table = (cells) => console.log(`| ${cells.join(' | ')} |`)

const checkServer = async (server) => {
  let bad = 0
  for (const command of commandsFor(server.url)) {
    const dir = join(work, `${server.name.replace(/\W/g, '-')}-${command.folder}`)
    const args = [...command.args, '--output', dir, '--json']
    const from = performance.now()
    const done = await run(process.execPath, [attune, ...args])
    const seconds = (performance.now() - from) / 1000
    let result
    try {
      result = resultOf(command, server, done, { dir, args })
    } catch (error) {
      result = { trouble: [`no result: ${error.message}; ${lastLine(done.err)}`] }
    }
    const { rows = '—', errors = {}, refused, trouble } = result
    bad += Number(trouble.length > 0)
    const verdict = trouble.length ? `FAILED: ${trouble.join('; ')}` : refused ? 'refused, as it must be' : 'ok'
    table([command.name, server.name, seconds.toFixed(1), rows, reasons(errors), verdict])
  }
  return bad
}

const servers = [attuneServer, ...(flags.llama ? [llamaServer] : [])]
let bad = 0
try {
  writeFileSync(join(work, 'judge.md'), judgePrompt)
  console.log(`The model of the servers: ${basename(resolve(flags.model))}${flags.gguf ? `; of llama.cpp ${basename(flags.gguf)}` : ''}\n`)
  table(['command', 'server', 'seconds', 'rows', 'errors by reason', 'check'])
  table(['---', '---', '--:', '--:', '---', '---'])
  for (const open of servers) {
    const server = await open()
    bad += await checkServer(server)
    await server.stop()
  }
} catch (error) {
  console.error(`error: ${error.message}`)
  bad++
} finally {
  killAll()
}
process.exitCode = bad ? 1 : 0
