/**
 * Stands in for bin/attune.js in tests of the studio's jobs: writes its arguments beside itself, prints what a command would,
 * and does what the prompt file or the beta asks for. It loads nothing, so that a job takes 50 ms.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'

const argv = process.argv.slice(2)
appendFileSync('argv.jsonl', `${JSON.stringify(argv)}\n`)
const value = (flag) => argv[argv.indexOf(flag) + 1]
const print = (event) => process.stdout.write(`${JSON.stringify(event)}\n`)
const rows = () =>
  readFileSync(value('--data'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

if (argv[0] === 'generate')
  for (const { prompt } of rows())
    for (let i = 0; i < Number(value('--num-return-sequences')); i++)
      print({ prompt, completion: `${i + 1} of ${value('--model')}`, finish_reason: 'stop' })
else if (argv[0] === 'score')
  for (const { responses } of rows()) print({ rewards: responses.map((text) => text.length), replies: [] })
else if (argv[0] === 'judge') {
  for (const { id } of rows()) print({ id, verdict: 'B', verdicts: ['B', 'B'] })
  print({ event: 'end', n: 1 })
} else if (argv[0] === 'check') print({ rows: 2, estimate: { seconds: 65, steps: 10, peak_bytes: 2e9, of_bytes: 8e9 } })
else {
  const output = argv[0] === 'runs' ? argv[2] : value('--output')
  mkdirSync(output, { recursive: true })
  writeFileSync(`${output}/run.json`, '{}')
  const end = (stopped, code) => {
    print({ event: 'end', steps: 3, output: `${output}/model`, stopped })
    process.exitCode = code
    clearInterval(waiting)
  }
  let waiting
  process.on('SIGINT', () => end('interrupted', 130))
  for (const step of [1, 2, 3]) print({ event: 'step', step, total_steps: 3, loss: 1 / step })
  if (value('--beta') === '7') {
    process.stderr.write('some words\nerror: the loss is not finite at step 2\n')
    process.exitCode = 1
  } else if (value('--beta') === '9') waiting = setInterval(() => {}, 1000)
  else end('done', 0)
}
