/** The form int8-fast: it follows from the checkpoint alone, and smoothing makes it more exact. */
import { afterAll, describe, expect, it } from 'vitest'
import { smoothOf } from '../src/nn/scope.ts'
import { renewInt8 } from '../src/passes/int8.ts'
import { type Model, makeModel } from '../src/passes/model.ts'
import { type OpenModelOptions, openModel } from '../src/passes/open.node.ts'
import { readTokenStats } from '../src/passes/tokenStats.ts'
import { openPolicy } from '../src/recipes/trainer/policy.ts'
import { sftSchema } from '../src/recipes/trainer/schema.ts'
import { makeResources } from '../src/util/resources.ts'
import { fixture } from './support/golden.ts'
import { ids } from './support/training.ts'

const { own, close } = makeResources()
afterAll(close)

const open = async (name: string, options: Omit<OpenModelOptions, 'model'> = {}) =>
  own(await openModel({ model: fixture(`models/${name}`), inProcess: true, threads: 1, ...options }))

/** What decides the products: the forms, and every array of codes, scales and factors. `back` is for gradients alone. */
const formOf = async ({ backend, int8, params }: Model) => {
  const names = [...params.keys()].filter((name) => /\.(codes|scales|smooth)$/.test(name)).sort()
  const arrays = await Promise.all(
    names.map(async (name) => [name, Array.from(await backend.read(params.get(name)!), Number)]),
  )
  return {
    forms: [...int8].map(([name, { terms, smooth }]) => [name, terms, smooth]),
    arrays: Object.fromEntries(arrays) as Record<string, number[]>,
  }
}

const logpsOf = async (model: Model, texts: readonly (readonly number[])[]) => {
  const trees = texts.map((text) => ({ trunk: text.slice(0, 1), branches: [text.slice(1)] }))
  return (await readTokenStats(model, trees, ['logps'])).logps.flatMap(({ branches }) => branches.flat())
}

/** Standard deviation of what a model's log-probabilities differ by. */
const apart = (a: readonly number[], b: readonly number[]) => {
  const errors = a.map((value, i) => value - b[i])
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length
  return Math.sqrt(errors.reduce((sum, error) => sum + (error - mean) ** 2, 0) / errors.length)
}

const roundedOnce = (model: Model) =>
  makeModel({ ...model, int8: new Map([...model.int8].map(([name, form]) => [name, { ...form, terms: 1 as const }])) })

const stories = [
  'Once upon a time, there was a little girl named Lily. She loved to play in the park with her dog.',
  'Tom saw a big red ball under the tree. "Can I have it?" he asked his mom. She smiled and said yes.',
  'The cat was very tired. It wanted to sleep, but the birds sang and sang all day long in the garden.',
  'One day, a boy went to the sea with his dad. They found a shell, and the shell was blue and shiny.',
]

describe('int8-fast', async () => {
  const settings = sftSchema.parse({ model: '-', output: '-', data: ['-'], threads: 1, compute: 'int8-fast' })
  const exact = await open('stories260K')
  const fast = await open('stories260K', { compute: 'int8-fast' })
  const texts = stories.map((text) => exact.tokenizer!.encode(text).ids)

  it('is the same for a server, for two threads, for a trainer of an adapter and for one of all weights', async () => {
    const expected = await formOf(fast.model)
    expect(expected.forms).toHaveLength(35)
    expect(await formOf((await open('stories260K', { compute: 'int8-fast', threads: 2 })).model)).toEqual(expected)
    const folders = { dir: fixture('models/stories260K') }
    expect(await formOf(own(await openPolicy({ ...settings, loraR: 4 }, folders)).model)).toEqual(expected)
    const { model } = own(await openPolicy(settings, folders))
    expect(await formOf(model)).toEqual(expected)
    // Codes are made anew after each update, by the same factors
    renewInt8(model)
    expect(await formOf(model)).toEqual(expected)
  })

  it('has factors that are powers of 2, one array for modules that read the same', async () => {
    const { arrays } = await formOf(fast.model)
    const smooth = Object.entries(arrays).filter(([name]) => name.endsWith('.smooth'))
    const smoothed = [...fast.model.int8].filter(([, form]) => form.smooth)
    // Modules that read the same have the same factors, under the name of the first
    expect(new Set(smoothed.map(([name, form]) => smoothOf(name, form.smooth!)))).toEqual(
      new Set(smooth.map(([name]) => name)),
    )
    expect(smooth.length).toBeGreaterThan(0)
    expect(smooth.every(([name]) => /(q|o|gate|down)_proj\.weight\.smooth$/.test(name))).toBe(true)
    const values = smooth.flatMap(([, factors]) => factors)
    expect(values.every((factor) => Number.isInteger(Math.log2(factor)))).toBe(true)
    expect(new Set(values).size).toBeGreaterThan(2)
  })

  it('errs by less than rows rounded once without factors, and than a bound', async () => {
    const right = await logpsOf(exact.model, texts)
    const { model } = await open('stories260K', { compute: 'int8' })
    const plain = apart(await logpsOf(roundedOnce(model), texts), right)
    expect(apart(await logpsOf(roundedOnce(fast.model), texts), right)).toBeLessThan(plain)
    expect(apart(await logpsOf(fast.model, texts), right)).toBeLessThan(0.05)
  })

  it('takes random tokens for a model without a tokenizer, here one with [in, out] weights and biases', async () => {
    const options = { compute: 'int8-fast' } as const
    const [one, other, twice, right] = await Promise.all([
      open('gpt2', options),
      open('gpt2', options),
      open('gpt2', { compute: 'int8' }),
      open('gpt2'),
    ])
    expect(one.tokenizer).toBeUndefined()
    expect(await formOf(one.model)).toEqual(await formOf(other.model))
    const rows = [ids(1, 20), ids(2, 20), ids(3, 20)]
    const [made, balanced, exactly] = [
      await logpsOf(one.model, rows),
      await logpsOf(twice.model, rows),
      await logpsOf(right.model, rows),
    ]
    expect(apart(made, exactly)).toBeGreaterThan(0)
    expect(apart(made, exactly)).toBeLessThan(2 * apart(balanced, exactly))
  })

  it.each(['deberta-v3', 'gemma3', 'phi3', 'qwen3', 'roberta'])('calibrates all modules of %s', async (name) => {
    const { model } = await open(name, { compute: 'int8-fast', head: 'any' })
    expect(model.int8.size).toBe(model.config.num_hidden_layers * model.architecture.linears(model.config).length)
  })
})
