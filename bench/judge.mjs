/**
 * The pace of `attune judge` against a stub that answers after a fixed delay: 5,000 pairs in both orders are 10,000 requests, whose
 * ideal time is requests x delay / concurrency. Prints the time, the ideal, and the memory along the way.
 *
 *     node bench/judge.mjs            # DELAY=100 (ms), CONCURRENCY=64, REQUESTS=10000
 */
import { fork, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const delay = Number(process.env.DELAY ?? 100)
const concurrency = Number(process.env.CONCURRENCY ?? 64)
const requests = Number(process.env.REQUESTS ?? 10_000)

const serve = () => {
  let inWork = 0
  let most = 0
  const body = JSON.stringify({
    choices: [{ index: 0, message: { role: 'assistant', content: 'Both were read. [[A]]' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 300, completion_tokens: 8 },
  })
  const server = createServer((request, response) => {
    most = Math.max(most, ++inWork)
    request.resume().on('end', () =>
      setTimeout(() => {
        inWork--
        response.writeHead(200, { 'content-type': 'application/json' }).end(body)
      }, delay),
    )
  })
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
  process.on('message', () => process.send({ most }))
}

const rssOf = (pid) => {
  const found = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return found ? Number(found[1]) / 1024 : 0
}

/** Seconds of CPU that a process has used. */
const cpuOf = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const main = async () => {
  const server = fork(fileURLToPath(import.meta.url), ['serve'])
  const { port } = await new Promise((resolve) => server.once('message', resolve))
  const dir = mkdtempSync(join(tmpdir(), 'attune-judge-bench-'))
  const row = (i) => ({ id: i, prompt: `Question ${i}?`, chosen: `Answer ${i} `.repeat(20), rejected: `No ${i} `.repeat(20) })
  const rows = Array.from({ length: requests / 2 }, (_, i) => `${JSON.stringify(row(i))}\n`)
  writeFileSync(join(dir, 'pairs.jsonl'), rows.join(''))
  const attune = fileURLToPath(new URL('../bin/attune.js', import.meta.url))
  const flags = ['--judge', `http://127.0.0.1:${port}/v1#m`, '--data', 'pairs.jsonl', '--concurrency', concurrency]
  const argv = [attune, 'judge', ...flags, '--output', 'judged', '--json'].map(String)
  const child = spawn(process.execPath, argv, { cwd: dir, env: { ...process.env, ATTUNE_CACHE: join(dir, 'cache') } })
  child.stderr.resume()
  let rest = ''
  let first
  let cpu
  let last
  const memory = []
  let judged = 0
  let end
  for await (const chunk of child.stdout) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      const value = JSON.parse(line)
      if (value.event === 'plan') [first, cpu] = [performance.now(), -cpuOf(child.pid)]
      if (value.event === 'end') [end, cpu] = [value, cpu + cpuOf(child.pid)]
      if (value.verdict && ++judged % (requests / 10) === 0) memory.push(Math.round(rssOf(child.pid)))
    }
    last = performance.now()
  }
  const ideal = (requests * delay) / concurrency / 1000
  const took = (last - first) / 1000
  const most = await new Promise((resolve) => {
    server.once('message', ({ most }) => resolve(most))
    server.send('most')
  })
  server.kill()
  rmSync(dir, { recursive: true })
  console.log(JSON.stringify({ requests: end?.asked, delay, concurrency, most, seconds: took, ideal, over: took / ideal - 1, cpu, memory_mib: memory }))
}

if (process.argv[2] === 'serve') serve()
else await main()
