/**
 * Trains every method that learns from rewards on two tasks with a known reward, and writes the tables into docs/rl.md, between the two marks.
 * `node docs/rl.mjs FOLDER [--seeds 1,2,3] [--only NAME,NAME]`. Best-of-N is in the table for comparison. Finished runs are kept and
 * interrupted ones resume, so the script can be stopped at any time.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { fill, table } from './figures.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '1,2,3' }, only: { type: 'string' } },
})
const folder = resolve(positionals[0] ?? 'attune-rl')
const seeds = flags.seeds.split(',').map(Number)
const only = flags.only?.split(',')
mkdirSync(folder, { recursive: true })

const at = (name) => join(folder, name)
const lines = (path) => readFileSync(path, 'utf8').trim().split('\n').map(JSON.parse)
const rows = (name, list) => {
  writeFileSync(at(name), list.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return at(name)
}

/** Runs attune. @returns its stdout; stderr goes to the terminal */
const attune = (...argv) => {
  const ended = spawnSync(process.execPath, [join(root, 'bin/attune.js'), ...argv.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 28,
  })
  if (ended.status !== 0) throw new Error(`attune ${argv.join(' ')} ended with ${ended.status}`)
  return ended.stdout.toString()
}

const flagsOf = (settings) =>
  Object.entries(settings).flatMap(([name, value]) =>
    [value].flat().flatMap((each) => (each === true ? [`--${name}`] : [`--${name}`, each])),
  )

/** The events of a run, which is trained or resumed unless it is finished. */
const run = (name, method, settings) => {
  const output = at(name)
  const log = join(output, 'events.jsonl')
  const done = () => existsSync(log) && lines(log).at(-1).event === 'end'
  if (!done()) {
    console.error(`${name} ...`)
    const again = existsSync(join(output, 'run.json')) ? ['--resume'] : []
    attune(method, ...flagsOf({ ...settings, output }), ...again, '--json')
  }
  return lines(log)
}

// tasks

const names = ['Lily', 'Tom', 'Max', 'Anna', 'Ben', 'Sue', 'Tim', 'Mia', 'Jack', 'Lucy', 'Sam', 'Zoe']
const things = [
  'a dog',
  'a ball',
  'a big box',
  'the park',
  'a cat',
  'a tree',
  'a red car',
  'his mom',
  'a bird',
  'the sea',
]
const openings = names.flatMap((name, i) =>
  things.map((thing, j) => ({ isEval: (i + j) % 5 === 0, prompt: `Once upon a time, ${name} saw ${thing}.` })),
)

/** The reward of stories: the number of different words of joy, at most 3. */
const joy = `const words = /\\b(happy|fun|play|smil|laugh|friend|love)/gi
export default (rows) => rows.map(({ completion }) => Math.min(3, new Set(completion.toLowerCase().match(words)).size))
`

const stories = () => {
  writeFileSync(at('joy.mjs'), joy)
  return {
    model: join(root, 'test/fixtures/models/stories260K'),
    reward: `right=${at('joy.mjs')}`,
    data: rows(
      'stories.jsonl',
      openings.filter(({ isEval }) => !isEval),
    ),
    evalData: rows(
      'stories-held.jsonl',
      openings.filter(({ isEval }) => isEval),
    ),
    shared: { 'max-new-tokens': 40, 'max-steps': 15, epochs: 100, 'eval-every': 15 },
    rate: 1e-4,
    klCoef: 0.05,
    text: 'stories',
  }
}

/** The SFT model of `attune demo`, which adds numbers with some errors. */
const sums = () => {
  if (!existsSync(at('demo/demo.json')) || JSON.parse(readFileSync(at('demo/demo.json'), 'utf8')).state !== 'done')
    attune('demo', '--output', at('demo'))
  const tested = lines(at('demo/data/tested.jsonl'))
  return {
    model: at('demo/sft'),
    reward: 'right=arithmetic',
    data: rows(
      'sums.jsonl',
      lines(at('demo/data/rankings.jsonl')).map(({ prompt }) => ({ prompt })),
    ),
    evalData: rows(
      'sums-held.jsonl',
      tested.slice(0, 300).map(({ prompt }) => ({ prompt })),
    ),
    shared: { 'max-new-tokens': 5, 'max-steps': 100, epochs: 100, 'eval-every': 100 },
    rate: 8e-4,
    klCoef: 0.003,
    text: 'sums',
  }
}

/** Pairs of the policy's completions of each prompt, ranked by the reward: the best with the worst, and so on inwards. */
const pairsOf = (task) => {
  const samples = attune(
    ...['generate', '--model', task.model, '--data', task.data, '--num-return-sequences', 24, '--seed', 7, '--json'],
    ...['--max-new-tokens', task.shared['max-new-tokens']],
  )
  const completions = new Map()
  for (const row of samples.trim().split('\n').map(JSON.parse))
    completions.set(row.prompt, [...(completions.get(row.prompt) ?? []), row])
  const points = pointsOf(task)
  const pairs = [...completions].flatMap(([prompt, list]) => {
    const scored = list.map(({ completion }) => ({ completion, points: points(prompt, completion) }))
    scored.sort((a, b) => b.points - a.points)
    return scored.slice(0, scored.length / 2).flatMap((best, i) => {
      const worst = scored.at(-1 - i)
      return best.points > worst.points ? [{ prompt, chosen: best.completion, rejected: worst.completion }] : []
    })
  })
  return rows(`${task.text}-pairs.jsonl`, pairs)
}

/** Trains a reward model of the task. */
const rewardModelOf = (task, kind) => {
  const name = `${task.text}-${kind}`
  run(name, 'reward', {
    ...{ kind, model: task.model, data: task.pairs, seed: 1, 'eval-split': 0.1 },
    ...{ 'learning-rate': 1e-3, 'max-steps': 150, 'batch-size': 16, 'max-length': 128 },
  })
  return at(name)
}

const pointsOf = ({ text }) => {
  if (text === 'stories') {
    const words = /\b(happy|fun|play|smil|laugh|friend|love)/gi
    return (_, completion) => Math.min(3, new Set(completion.toLowerCase().match(words)).size)
  }
  return (prompt, completion) => {
    const [a, b] = prompt.match(/\d+/g).map(Number)
    return Number(/^\d+$/.test(completion) && Number(completion) === a + b)
  }
}

// methods

/** Every method gets 64 samples per step. */
const four = { 'num-generations': 4, 'batch-size': 16 }
const one = { 'num-generations': 1, 'batch-size': 64 }

/** PPO makes two passes over each rollout. */
const twice = ({ shared }) => ({
  ...{ ...one, 'num-iterations': 2 },
  ...{ 'max-steps': 2 * shared['max-steps'], 'eval-every': 2 * shared['eval-every'] },
})

const methods = [
  { name: 'REINFORCE', method: 'reinforce', settings: (t) => ({ ...one, 'kl-coef': t.klCoef }) },
  {
    name: 'REINFORCE, probabilistic reward',
    method: 'reinforce',
    judged: true,
    settings: (t) => ({ ...one, 'kl-coef': t.klCoef }),
  },
  {
    name: 'REINFORCE, probabilistic reward, advantages not divided',
    method: 'reinforce',
    judged: true,
    settings: (t) => ({ ...one, 'kl-coef': t.klCoef, 'no-regulariser': true }),
  },
  { name: 'RLOO', method: 'rloo', settings: (t) => ({ ...four, 'kl-coef': t.klCoef }) },
  { name: 'GRPO', method: 'grpo', settings: (t) => ({ ...four, 'kl-coef': t.klCoef }) },
  { name: 'online DPO', method: 'online-dpo', settings: () => ({ ...four, beta: 0.1 }) },
  { name: 'PPO, value head', method: 'ppo', settings: (t) => ({ ...twice(t), 'kl-coef': t.klCoef }) },
  {
    // With a value model a step changes the policy more, so the learning rate is halved
    name: 'PPO, value model',
    method: 'ppo',
    valued: true,
    settings: (t) => ({ ...twice(t), 'kl-coef': t.klCoef, 'learning-rate': t.rate / 2 }),
  },
  {
    name: 'PPO-ptx',
    method: 'ppo',
    settings: (t) => ({ ...twice(t), 'kl-coef': t.klCoef, 'ptx-data': t.ptx, 'ptx-coef': 0.1, 'ptx-batch-size': 16 }),
  },
].filter(({ name }) => !only || only.includes(name))

const metric = 'eval_rewards/right/mean'

const trained = (task, { name, method, judged, valued, settings }, seed) => {
  const rewards = judged
    ? { reward: [`judge=${task.judge}`, task.reward], 'reward-weights': '1,0' }
    : { reward: task.reward }
  const events = run(`${task.text}-${name.replaceAll(/\W+/g, '-')}-${seed}`, method, {
    ...{ model: task.model, data: task.data, 'eval-data': task.evalData, ...rewards, 'learning-rate': task.rate, seed },
    ...{
      'save-every': 1000,
      'kl-budget': 5,
      ...task.shared,
      ...settings(task),
      ...(valued && { 'value-model': task.values }),
    },
  })
  const evals = events.filter(({ event }) => event === 'eval')
  const seconds = events.reduce((sum, event) => sum + (event.event === 'step' ? event.seconds : 0), 0)
  return { before: evals[0][metric], after: evals.at(-1)[metric], kl: evals.at(-1).eval_kl, seconds }
}

// table

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length
/** Student's t at 97.5 % for n - 1 degrees of freedom. */
const quantiles = [Number.NaN, 12.71, 4.303, 3.182, 2.776, 2.571]
const half = (values) => {
  const middle = mean(values)
  const spread = Math.sqrt(values.reduce((sum, x) => sum + (x - middle) ** 2, 0) / (values.length - 1))
  return ((quantiles[values.length - 1] ?? 1.96) * spread) / Math.sqrt(values.length)
}
const shown = (values) => `${mean(values).toFixed(2)}${values.length > 1 ? ` ± ${half(values).toFixed(2)}` : ''}`

const chapter = (title, task) => {
  // The reward of the sums has no uncertainty, so both kinds of REINFORCE would be equal
  const asked = methods.filter(({ judged }) => !judged || task.text === 'stories')
  if (asked.some(({ judged, valued }) => judged || valued)) task.pairs = pairsOf(task)
  if (asked.some(({ judged }) => judged)) task.judge = rewardModelOf(task, 'probabilistic')
  // The value model is initialised from a scalar reward model of the task
  if (asked.some(({ valued }) => valued)) task.values = rewardModelOf(task, 'pairwise')
  const results = asked.map((method) => [method.name, seeds.map((seed) => trained(task, method, seed))])
  const best = bestOf(task)
  const of = (runs, key) => runs.map((each) => each[key])
  const body = results.map(([name, runs]) => [
    ...[name, shown(of(runs, 'before')), shown(of(runs, 'after')), shown(of(runs, 'kl'))],
    mean(of(runs, 'seconds')).toFixed(0),
  ])
  const tries = best.map(({ n, reward, standard_error, kl }) => [
    ...[`best of ${n}`, '', `${reward.toFixed(2)} ± ${(1.96 * standard_error).toFixed(2)}`, `≤ ${kl.toFixed(2)}`, ''],
  ])
  return `### ${title}\n\n${table([['method', 'before', 'after', 'KL, nats', 'seconds'], ...body, ...tries])}`
}

const bestOf = (task) => {
  const kept = at(`${task.text}-best.json`)
  if (!existsSync(kept)) {
    const out = attune(
      ...[
        'best-of-n',
        '--model',
        task.model,
        '--data',
        task.evalData,
        '--reward',
        task.reward,
        '--num-generations',
        16,
      ],
      ...['--max-new-tokens', task.shared['max-new-tokens'], '--json'],
    )
    writeFileSync(kept, JSON.stringify(JSON.parse(out.trim().split('\n').at(-1)).table))
  }
  return JSON.parse(readFileSync(kept, 'utf8')).filter(({ n }) => [4, 16].includes(n))
}

const adding = sums()
adding.ptx = at('demo/data/class.jsonl')
const telling = stories()
telling.ptx = join(root, 'examples/stories.jsonl')
const figures = [
  `Held-out reward of one sample a prompt, before and after; ${seeds.length} seeds, means with 95 % intervals. A run may go 5 nats of KL from where it began, in the mean of a rollout's samples (\`--kl-budget\`). By \`node docs/rl.mjs FOLDER\`.`,
  chapter('Sums: the share of right answers', adding),
  chapter('Stories: kinds of words of joy, 3 at most', telling),
].join('\n\n')

fill(join(here, 'rl.md'), figures)
