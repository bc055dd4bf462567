/** Names of settings in other programs. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { methodKeys, methods } from '../recipes/methods.ts'
import { fieldsOf } from '../recipes/settings/fields.ts'
import { commands } from './commands.ts'
import { answers, entryFor, otherName } from './otherNames.ts'
import { flagAdvice } from './settings.ts'

const flagsOf = async (name: string) => {
  const key = methodKeys.find((each) => methods[each].name === name)!
  return fieldsOf(await methods[key].schema()).map(({ flag }) => flag)
}

it.each([
  ['dpo', '--lr', '; here it is --learning-rate'],
  ['dpo', '--learning_rate', '; here it is --learning-rate'],
  ['dpo', 'perDeviceTrainBatchSize', '; here it is --batch-size (in reinforcement learning it counts prompts)'],
  ['dpo', '--gradient_accumulation_steps=4', '; here it is --grad-accum'],
  ['dpo', '--num_train_epochs', '; here it is --epochs'],
  ['dpo', '--loss_type', '; here it is --loss'],
  ['dpo', '--lora-rank', '; here it is --lora-r'],
  ['dpo', '--warmup_ratio', '; here it is --warmup-steps (a number of steps, not a share)'],
  ['dpo', '--deepspeed', '; not there: a run uses one machine and one device'],
  ['sft', '--output_dir', '; here it is --output'],
  ['sft', 'cutoff_len', '; here it is --max-length'],
  ['grpo', '--beta', '; here it is --kl-coef'],
  ['grpo', '--max_completion_length', '; here it is --max-new-tokens'],
  ['grpo', '--reward_funcs', '; here it is --reward (repeatable)'],
  [
    'grpo',
    '--vllm_server_port',
    "; not needed: attune's own decoder makes the completions, from the weights that are trained",
  ],
  ['spin', '--like', '; not there: TRL has no such method'],
  ['sft', '--beta', '; not there: this command has no such setting'],
  ['sft', '--foo', ''],
] as const)('%s %s: %s', async (method, name, advice) => {
  expect(flagAdvice(name, await flagsOf(method))).toBe(advice)
})

describe('the answers', () => {
  it('name flags that some command has, or say why there is none', async () => {
    const schemas = await Promise.all(commands.map(async ({ load }) => (await load([])).schema))
    const flags = new Set(schemas.flatMap((schema) => fieldsOf(schema).map(({ flag }) => flag)))
    const wrong = Object.entries(answers).filter(([, answer]) =>
      answer.startsWith('--')
        ? !answer
            .split('; ')[0]
            .split(' ')
            .every((flag) => flags.has(flag))
        : !/^not (needed|there)( in training)?: [^.]*(\.\w[^.]*)*$/.test(answer),
    )
    expect(wrong).toEqual([])
  })

  it.each(Object.entries(JSON.parse(readFileSync(new URL('../../docs/names.json', import.meta.url), 'utf8'))))(
    'cover every argument of %s, in every class',
    async (_, classes) => {
      type Listed = { commands: string[]; names: string[] }
      for (const [name, { commands: methodNames, names }] of Object.entries(classes as Record<string, Listed>)) {
        const flags = (await Promise.all(methodNames.map(flagsOf))).flat()
        const unanswered = names.filter((each) => otherName(each, flags) === undefined)
        const elsewhere = names.filter((each) => otherName(each, flags)?.note?.includes('this command'))
        expect([unanswered, elsewhere], name).toEqual([[], name === 'OnlineDPOConfig' ? ['loss_type'] : []])
      }
    },
  )

  it('are found by the end that a family leaves open', () => {
    expect(entryFor('fsdp_config')).toBe('fsdp*')
    expect(entryFor('--dataloader_num_workers')).toBe('dataloader-*')
    expect(entryFor('constructor')).toBeUndefined()
    expect(otherName('to-string', ['--to-string'])).toEqual({ flag: '--to-string' })
  })
})
