/** Small runs of every kind of state: all weights or an adapter, with and without reference, dropout and evaluation. */
import { hh, stories } from './runs.ts'

const shared = ['--model', stories, '--data', hh, '--max-samples', '24', '--max-length', '64', '--batch-size', '4']
const fast = ['--learning-rate', '1e-3']

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
      ...['--learning-rate', '0.3', '--eval-split', '0.2', '--eval-every', '2', '--patience', '2', '--keep', '1'],
    ],
  },
]
