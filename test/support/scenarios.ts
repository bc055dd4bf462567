/** Small runs of every kind of state: all weights or an adapter, with and without reference, dropout and evaluation. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fixture } from './golden.ts'
import { hh, stories } from './runs.ts'

const shared = ['--model', stories, '--data', hh, '--max-samples', '24', '--max-length', '64', '--batch-size', '4']
const fast = ['--learning-rate', '1e-3']

const played = fixture('data/sentences.jsonl')
const play = (method: string, iterations: string) => [
  ...[method, '--model', stories, '--data', played, '--batch-size', '4', '--epochs', '1', '--save-every', '1'],
  ...['--iterations', iterations, '--max-new-tokens', '8', '--learning-rate', '1e-4'],
]

const learn = (method: string) => [
  ...[method, '--model', stories, '--data', played, '--batch-size', '2', '--max-steps', '8', '--num-generations', '4'],
  ...['--max-new-tokens', '8', '--learning-rate', '1e-3', '--reward', 'letters=regex:e.*e'],
]

export type Scenario = { name: string; argv: readonly string[] }

export const scenarios: readonly Scenario[] = [
  {
    name: 'dpo, all weights',
    argv: ['dpo', ...shared, '--epochs', '1', '--save-every', '1', '--learning-rate', '1e-4'],
  },
  {
    name: 'dpo, LoRA, two batches a step',
    argv: ['dpo', ...shared, ...fast, '--epochs', '2', '--save-every', '2', '--grad-accum', '2', '--lora-r', '4'],
  },
  {
    name: 'sft, all weights, evaluated',
    argv: [
      ...['sft', ...shared, ...fast, '--epochs', '2', '--save-every', '3', '--eval-split', '0.2', '--eval-every', '2'],
      ...['--keep', '1'],
    ],
  },
  {
    name: 'sft, LoRA with dropout, stops by patience',
    argv: [
      ...['sft', ...shared, '--epochs', '3', '--save-every', '1', '--lora-r', '4', '--lora-dropout', '0.2'],
      ...[
        '--learning-rate',
        '0.05',
        '--schedule',
        'constant',
        '--eval-split',
        '0.2',
        '--eval-every',
        '2',
        '--patience',
        '2',
        '--keep',
        '1',
      ],
    ],
  },
  {
    name: 'spin, all weights, evaluated',
    argv: [...play('spin', '2'), '--eval-split', '0.25'],
  },
  {
    name: 'asft, LoRA, last two iterations mixed, first model last',
    argv: [
      ...[...play('asft', '3'), '--helper', 'column:rejected', '--helper', stories, '--historic', '--mix-iterations'],
      ...['--lora-r', '4', '--learning-rate', '1e-3'],
    ],
  },
  {
    name: 'grpo, all weights, four updates a rollout, evaluated',
    argv: [
      ...[...learn('grpo'), '--num-iterations', '2', '--steps-per-generation', '2', '--kl-coef', '0.1'],
      ...['--eval-split', '0.2', '--eval-every', '3', '--save-every', '1'],
    ],
  },
  {
    name: 'reinforce, LoRA with dropout, moving baseline',
    argv: [...learn('reinforce'), '--lora-r', '4', '--lora-dropout', '0.1', '--save-every', '2'],
  },
  {
    name: 'ppo, a value model, two minibatches, adaptive KL',
    argv: [
      ...[...learn('ppo'), '--value-model', stories, '--num-iterations', '2', '--steps-per-generation', '2'],
      ...['--kl-target', '1', '--kl-horizon', '100', '--whiten-rewards', '--save-every', '1'],
    ],
  },
]

/** The stories model with a NaN in its third layer. @returns its folder */
export const poisoned = (dir: string): string => {
  cpSync(stories, dir, { recursive: true })
  const path = join(dir, 'model.safetensors')
  const bytes = readFileSync(path)
  const headerLength = Number(bytes.readBigUInt64LE())
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength))
  const [start] = header['model.layers.2.mlp.up_proj.weight'].data_offsets
  bytes.writeFloatLE(Number.NaN, 8 + headerLength + start + 400)
  writeFileSync(path, bytes)
  return dir
}
