/**
 * Small runs of every method and every kind of saved state, for tests that kill them and damage their files.
 * Each reads its own copies of model, rows and rewards in one folder, so that those can be damaged too.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fixture } from './golden.ts'
import { hh, stories } from './runs.ts'

export type Scenario = {
  name: string
  /** The command and its flags, without --output. */
  argv: readonly string[]
  /** Flags added to resume: --resume, or none if the same command resumes. */
  resumeFlags: readonly string[]
  /** Files and folders of the run folder that must be equal after a resume. */
  results: readonly string[]
}

/** The scenarios, on the inputs that `writeInputs` wrote into a folder. */
export const scenariosIn = (dir: string): readonly Scenario[] => {
  const at = (name: string) => join(dir, name)
  const model = ['--model', at('model'), '--threads', '1']
  const small = ['--batch-size', '2', '--save-every', '1', '--max-length', '64']
  const rows = (name: string) => ['--data', at(name)]
  const steps = (n: number) => ['--max-steps', `${n}`]
  const lora = ['--lora-r', '4', '--learning-rate', '1e-3']
  const full = ['--learning-rate', '1e-4']
  const evaluated = (every: number) => ['--eval-split', '0.3', '--eval-every', `${every}`]
  const play = ['--iterations', '2', '--max-new-tokens', '8', '--max-steps', '2']
  const learn = ['--num-generations', '2', '--max-new-tokens', '6']
  const letters = ['--reward', 'letters=regex:e.*e']
  const run = (name: string, method: string, ...flags: (readonly string[])[]): Scenario => ({
    ...{ name, argv: [method, ...model, ...flags.flat()] },
    ...{ resumeFlags: ['--resume'], results: ['model', 'adapter', 'events.jsonl'] },
  })
  const hhRows = ['--data', hh, '--max-samples', '24', '--max-length', '64', '--batch-size', '4']
  return [
    run('dpo, all weights', 'dpo', hhRows, ['--epochs', '1', '--save-every', '1'], full),
    run('dpo, lists, LoRA, two batches a step', 'dpo', small, rows('lists.jsonl'), steps(4), lora, [
      ...['--grad-accum', '2', '--save-every', '2'],
    ]),
    run('dpo, QLoRA in nf4', 'dpo', small, rows('pairs.jsonl'), steps(3), lora, ['--quantize', 'nf4'], evaluated(2)),
    run('sft, all weights, evaluated', 'sft', small, rows('chosen.jsonl'), steps(5), full, evaluated(2), [
      ...['--keep', '1', '--save-every', '3'],
    ]),
    run('sft, LoRA with dropout, stops by patience', 'sft', small, rows('chosen.jsonl'), evaluated(2), [
      ...['--lora-r', '4', '--lora-dropout', '0.2', '--learning-rate', '0.05', '--schedule', 'constant'],
      ...['--patience', '1', '--keep', '1', '--max-steps', '8'],
    ]),
    run('sft, QLoRA in int4', 'sft', small, rows('chosen.jsonl'), steps(3), lora, ['--quantize', 'int4']),
    run('dpo, LoRA, in 8-bit whole numbers', 'dpo', small, rows('pairs.jsonl'), steps(4), lora, evaluated(2), [
      ...['--compute', 'int8'],
    ]),
    run('sft, all weights, in 8-bit whole numbers', 'sft', small, rows('chosen.jsonl'), steps(4), full, evaluated(2), [
      ...['--compute', 'int8'],
    ]),
    run(
      'sft, LoRA, in 8-bit whole numbers, calibrated',
      'sft',
      small,
      rows('chosen.jsonl'),
      steps(4),
      lora,
      evaluated(2),
      [...['--compute', 'int8-fast']],
    ),
    run('kto, all weights', 'kto', small, rows('unpaired.jsonl'), steps(3), full, evaluated(1)),
    run('reward of pairs, evaluated', 'reward', small, rows('pairs.jsonl'), steps(4), full, evaluated(2), [
      ...['--save-every', '2', '--center-rewards', '0.01'],
    ]),
    run('reward of lists, LoRA, evaluated', 'reward', small, rows('lists.jsonl'), steps(4), lora, evaluated(2), [
      ...['--kind', 'ranking', '--save-every', '3'],
    ]),
    run('reward of lists by Plackett-Luce', 'reward', small, rows('lists.jsonl'), steps(2), full, [
      ...['--kind', 'plackett-luce', '--init-bias'],
    ]),
    run('reward of the best of n, evaluated', 'reward', small, rows('best.jsonl'), steps(3), lora, evaluated(2)),
    run('reward, probabilistic, evaluated', 'reward', small, rows('pairs.jsonl'), steps(3), full, evaluated(2), [
      ...['--kind', 'probabilistic'],
    ]),
    run('spin, all weights, evaluated', 'spin', small, rows('pairs.jsonl'), play, full, ['--eval-split', '0.25']),
    run('spin, triplets', 'spin', small, rows('pairs.jsonl'), play, lora, ['--loss', 't-spin']),
    run('asft, LoRA, last two iterations mixed, first model last', 'asft', small, rows('pairs.jsonl'), play, lora, [
      ...['--helper', 'column:rejected', '--helper', at('model'), '--historic', '--mix-iterations'],
      ...['--iterations', '3'],
    ]),
    run('distill, all weights, own completions and those of the data', 'distill', small, rows('chosen.jsonl'), full, [
      ...['--teacher', at('one'), '--max-new-tokens', '8', '--max-steps', '6'],
      ...evaluated(2),
    ]),
    run('distill, LoRA, from itself with a context, prompts alone', 'distill', small, rows('chosen.jsonl'), lora, [
      ...['--teacher', at('model'), '--teacher-context', 'A happy story.', '--seq-kd', '--beta', '1'],
      ...['--max-new-tokens', '8', '--grad-accum', '2', '--max-steps', '3', '--eval-split', '0.3'],
    ]),
    {
      ...run(
        'selfreward, LoRA, rankings of people, a reward model as judge',
        'selfreward',
        rows('chosen.jsonl'),
        lora,
        [
          ...[
            '--rankings',
            at('pairs.jsonl'),
            '--eval-split',
            '0.5',
            '--judge',
            at('judge'),
            '--judge-max-new-tokens',
            '4',
          ],
          ...['--batch-size', '2', '--save-every', '1', '--num-prompts', '2', '--num-generations', '2'],
          ...['--max-new-tokens', '24', '--max-steps', '2', '--sft-max-steps', '2'],
        ],
      ),
      results: ['model', 'adapter', 'events.jsonl', 'selfreward.json', 'selfreward.html'],
    },
    run('reinforce, LoRA with dropout, moving baseline', 'reinforce', small, rows('pairs.jsonl'), learn, lora, [
      ...[...letters, '--baseline', 'ema', '--lora-dropout', '0.1', '--save-every', '2', '--max-steps', '4'],
    ]),
    run('rloo, three rewards, evaluated', 'rloo', small, rows('pairs.jsonl'), learn, full, evaluated(2), [
      ...[...letters, '--reward', at('count.mjs'), '--reward', at('judge'), '--reward-weights', '1,0.5,2'],
      ...['--num-iterations', '2', '--max-steps', '4'],
    ]),
    run('grpo, all weights, four updates a rollout, evaluated', 'grpo', small, rows('pairs.jsonl'), learn, full, [
      ...[...letters, '--num-iterations', '2', '--steps-per-generation', '2', '--kl-coef', '0.1'],
      ...[...evaluated(3), '--num-generations', '4', '--max-steps', '6'],
    ]),
    run('ppo, a value model, two minibatches, adaptive KL', 'ppo', small, rows('pairs.jsonl'), learn, full, [
      ...[...letters, '--value-model', at('judge'), '--num-iterations', '2', '--steps-per-generation', '2'],
      ...['--kl-target', '1', '--kl-horizon', '100', '--whiten-rewards', '--max-steps', '5'],
    ]),
    run('ppo, LoRA, with pretraining rows', 'ppo', small, rows('pairs.jsonl'), learn, lora, [
      ...[...letters, '--ptx-data', at('chosen.jsonl'), '--num-iterations', '2', '--max-steps', '4'],
    ]),
    run('online-dpo, QLoRA in int8', 'online-dpo', small, rows('pairs.jsonl'), learn, lora, [
      ...['--reward', at('count.mjs'), '--quantize', 'int8', '--num-iterations', '2', '--max-steps', '4'],
    ]),
    {
      name: 'compare',
      argv: [
        ...['compare', `one=${at('one')}`, `two=${at('two')}`, '--sft', at('model'), ...rows('pairs.jsonl')],
        ...[
          '--reward',
          at('count.mjs'),
          '--judge',
          at('judge'),
          '--samples',
          '2',
          '--max-new-tokens',
          '6',
          '--threads',
          '1',
        ],
      ],
      ...{ resumeFlags: [], results: ['findings.json'] },
    },
    { name: 'scaling', argv: ['sweep'], resumeFlags: [], results: ['findings.json'] },
  ]
}

/** Writes the inputs of all scenarios into a folder. @returns the scenarios */
export const writeInputs = (dir: string): readonly Scenario[] => {
  mkdirSync(dir, { recursive: true })
  cpSync(stories, join(dir, 'model'), { recursive: true })
  const pairs = readFileSync(fixture('data/sentences.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line): Record<'prompt' | 'chosen' | 'rejected', string> => JSON.parse(line))
  const write = (name: string, rows: readonly object[]) =>
    writeFileSync(join(dir, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  write('pairs.jsonl', pairs)
  write(
    'chosen.jsonl',
    pairs.map(({ prompt, chosen }) => ({ prompt, completion: chosen })),
  )
  write(
    'unpaired.jsonl',
    pairs.flatMap(({ prompt, chosen, rejected }) => [
      { prompt, completion: chosen, label: true },
      { prompt, completion: rejected, label: false },
    ]),
  )
  const three = (i: number) => [pairs[i].chosen, pairs[i].rejected, pairs[(i + 1) % pairs.length].rejected]
  write(
    'lists.jsonl',
    pairs.map(({ prompt }, i) => ({ prompt, responses: three(i), ranks: [1, 2, 3] })),
  )
  write(
    'best.jsonl',
    pairs.map(({ prompt }, i) => ({ prompt, responses: three(i), best: 0 })),
  )
  writeFileSync(
    join(dir, 'count.mjs'),
    `export default (rows) => rows.map(({ completion }) => completion.split('a').length - 1)\n`,
  )
  other(join(dir, 'one'), 1.5)
  other(join(dir, 'two'), 0.5)
  judge(join(dir, 'judge'))
  return scenariosIn(dir)
}

type Tensors = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>

/** Changes the tensors of a safetensors file. */
const rewrite = (path: string, change: (header: Tensors, data: Buffer) => Buffer) => {
  const bytes = readFileSync(path)
  const start = 8 + Number(bytes.readBigUInt64LE())
  const header: Tensors = JSON.parse(bytes.toString('utf8', 8, start))
  const data = change(header, Buffer.from(bytes.subarray(start)))
  const text = Buffer.from(JSON.stringify(header).padEnd(start - 8 + 256))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(path, Buffer.concat([length, text, data]))
}

/** A copy of the stories model with changed weights. */
const other = (dir: string, factor: number) => {
  cpSync(stories, dir, { recursive: true })
  rewrite(join(dir, 'model.safetensors'), (header, data) => {
    const [from, to] = header['model.layers.2.mlp.up_proj.weight'].data_offsets
    for (let at = from; at < to; at += 4) data.writeFloatLE(factor * data.readFloatLE(at), at)
    return data
  })
}

/** A copy of the stories model with a score head. */
const judge = (dir: string) => {
  cpSync(stories, dir, { recursive: true })
  const path = join(dir, 'config.json')
  const config = JSON.parse(readFileSync(path, 'utf8'))
  const architectures = ['LlamaForSequenceClassification']
  writeFileSync(path, JSON.stringify({ ...config, architectures, id2label: { 0: 'LABEL_0' }, pad_token_id: 0 }))
  rewrite(join(dir, 'model.safetensors'), (header, data) => {
    const head = Buffer.from(Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) / 4).buffer)
    header['score.weight'] = { dtype: 'F32', shape: [1, 64], data_offsets: [data.length, data.length + head.length] }
    return Buffer.concat([data, head])
  })
}

/** The stories model with a NaN in its third layer. @returns its folder */
export const poisoned = (dir: string): string => {
  cpSync(stories, dir, { recursive: true })
  rewrite(join(dir, 'model.safetensors'), (header, data) => {
    const [start] = header['model.layers.2.mlp.up_proj.weight'].data_offsets
    data.writeFloatLE(Number.NaN, start + 400)
    return data
  })
  return dir
}
