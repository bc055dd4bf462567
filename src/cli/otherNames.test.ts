/** Flags named as in other programs. */
import { expect, it } from 'vitest'
import { methodKeys, methods } from '../recipes/methods.ts'
import { fieldsOf } from './fields.ts'
import { flagForOtherName } from './otherNames.ts'

const flagsOf = async (key: (typeof methodKeys)[number]) =>
  fieldsOf(await methods[key].schema()).map(({ flag }) => flag)

it.each([
  ['dpo', '--lr', '--learning-rate'],
  ['dpo', '--learning_rate', '--learning-rate'],
  ['dpo', '--per_device_train_batch_size', '--batch-size'],
  ['dpo', '--gradient_accumulation_steps=4', '--grad-accum'],
  ['dpo', '--num_train_epochs', '--epochs'],
  ['dpo', '--max_seq_length', '--max-length'],
  ['dpo', '--loss_type', '--loss'],
  ['dpo', '--lora-rank', '--lora-r'],
  ['sft', '--output_dir', '--output'],
  ['grpo', '--beta', '--kl-coef'],
  ['grpo', '--max_completion_length', '--max-new-tokens'],
  ['grpo', '--reward_funcs', '--reward'],
  ['sft', '--beta', undefined],
  ['sft', '--foo', undefined],
] as const)('%s %s is %s', async (method, name, flag) => {
  const key = methodKeys.find((each) => methods[each].name === method)!
  expect(flagForOtherName(name, await flagsOf(key))).toBe(flag)
})
