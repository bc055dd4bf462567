/** The generated settings: fresh, and of the types that the schemas take. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { z } from 'zod'
import { root } from '../../test/support/project.ts'
import type { compareSchema } from '../labs/compare/settings.ts'
import type { SchemaOf } from '../recipes/methods.ts'
import type { bestOfNSchema } from '../recipes/rl/schema.ts'
import type { generateSchema } from './sampling.ts'
import type * as settings from './settings.ts'

it('are those of the schemas (npm run api writes them)', () => {
  const dir = mkdtempSync(join(tmpdir(), 'attune-settings-'))
  try {
    const made = join(dir, 'settings.ts')
    execFileSync(process.execPath, [join(root, 'docs', 'settings.mjs'), made], { cwd: root })
    expect(readFileSync(join(root, 'src', 'library', 'settings.ts'), 'utf8')).toBe(readFileSync(made, 'utf8'))
  } finally {
    rmSync(dir, { recursive: true })
  }
})

it('show a description and the default of a setting', () => {
  const text = readFileSync(join(root, 'src', 'library', 'settings.ts'), 'utf8')
  const field = (name: string) => new RegExp(`/\\*\\*(?:(?!\\*/)[\\s\\S])*\\*/\\n  ${name}\\??:`).exec(text)?.[0] ?? ''
  expect(field('loraAlpha')).toContain('alpha / r')
  expect(field('maxGradNorm')).toMatch(/Clip the gradient.*\n.*@default 1\n/)
  expect(field('output')).toContain('@default a new folder in attune-runs')
  expect(text).not.toMatch(/--[a-z]/)
})

/** Settings that a program gives in a form of its own, or that it does not have; the schema takes the values of scheduleOption as texts too. */
type Own = 'data' | 'evalData' | 'ptxData' | 'reward' | 'judge' | 'output' | 'logEvery' | 'findLr' | 'scheduleOption'
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
type Checked<Settings, Schema extends z.ZodObject, More extends string = never> = Same<
  Omit<Settings, Own | More>,
  Omit<z.input<Schema>, Own | More>
>

// These do not compile where the types differ
const methods: true[] = [
  true satisfies Checked<settings.SftSettings, SchemaOf<'sft'>>,
  true satisfies Checked<settings.DpoSettings, SchemaOf<'dpo'>, 'loss'>,
  true satisfies Checked<settings.KtoSettings, SchemaOf<'kto'>>,
  true satisfies Checked<settings.RewardSettings, SchemaOf<'reward'>>,
  true satisfies Checked<settings.SpinSettings, SchemaOf<'spin'>>,
  true satisfies Checked<settings.AsftSettings, SchemaOf<'asft'>>,
  true satisfies Checked<settings.DistillSettings, SchemaOf<'distill'>>,
  true satisfies Checked<settings.SelfrewardSettings, SchemaOf<'selfreward'>>,
  true satisfies Checked<settings.ReinforceSettings, SchemaOf<'reinforce'>>,
  true satisfies Checked<settings.RlooSettings, SchemaOf<'rloo'>>,
  true satisfies Checked<settings.GrpoSettings, SchemaOf<'grpo'>>,
  true satisfies Checked<settings.PpoSettings, SchemaOf<'ppo'>>,
  true satisfies Checked<settings.OnlineDpoSettings, SchemaOf<'onlineDpo'>>,
  true satisfies Checked<settings.BestOfNSettings, typeof bestOfNSchema>,
  true satisfies Checked<settings.CompareSettings, typeof compareSchema>,
  true satisfies Checked<settings.GenerateOptions, typeof generateSchema>,
]

it('have the types of the schemas', () => expect(methods).not.toContain(false))

it('take the names of losses and refuse others', () => {
  const losses: settings.DpoSettings['loss'][] = ['ipo', 'sigmoid:0.8,sft:0.2', 'sigmoid,sft']
  // @ts-expect-error there is no such loss
  losses.push('sigmiod')
  expect(losses).toHaveLength(4)
})
