import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { fieldsOf } from '../recipes/settings/fields.ts'
import { nextCommands } from '../recipes/trainer/nextCommands.ts'
import { commands } from './commands.ts'
import { usageFault } from './failure.ts'
import { makeParser } from './flags.ts'
import { collectSettings } from './settings.ts'

describe('every command', () => {
  it.each(commands.map(({ name, load }) => [name, load] as const))(
    '%s shows all its flags, and its example uses flags that exist',
    async (name, load) => {
      const spec = await load([])
      const program = makeParser(name, spec)
      let help = ''
      program.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
      expect(spec.example.split(' ')[0]).toBe(name)
      expect(help).toContain(`attune ${spec.example}`)
      for (const { flag, key, fallback, required } of fieldsOf(spec.schema)) {
        if (spec.operands?.includes(key)) continue
        const shown = fallback === true ? flag.replace('--', '--no-') : flag
        expect(help, flag).toContain(`${shown} `)
        if (required) expect(help).toMatch(new RegExp(`${flag} (?:(?!\\n +-)[^])*\\(required\\)`))
      }
      const words = spec.example.split(' ').filter((word) => word.startsWith('--'))
      for (const word of words) expect(program.options.map(({ long }) => long)).toContain(word)
    },
  )
})

describe('what to type after a run', () => {
  const column = { prompt: "customer's message", chosen: 'good', rejected: 'bad' }
  const config = { model: 'small', output: 'runs/a', evalData: ['held.jsonl'], reward: ['desk.ts'], column }
  const next = (method: string, more: object = {}) =>
    nextCommands({
      ...{ method, folder: 'runs/a', interrupted: false, chats: true },
      config: { ...config, ...more },
    })

  it('reads the held-out file by the columns of the run', async () => {
    const line = next('grpo').find((each) => each.startsWith('attune compare '))!
    const words = execFileSync('sh', ['-c', `printf '%s\\n' ${line}`], { encoding: 'utf8' })
      .trimEnd()
      .split('\n')
    const spec = await commands.find(({ name }) => name === 'compare')!.load([])
    const program = makeParser('compare', spec).exitOverride().parse(words.slice(2), { from: 'user' })
    expect(program.args).toEqual(['runs/a'])
    const read = { data: ['held.jsonl'], reward: ['desk.ts'], judge: ['JUDGE'], base: 'small' }
    expect(await collectSettings(spec.schema, program.opts())).toEqual({ ...read, column })
    expect(next('grpo', { column: {} }).join()).not.toContain('--column')
  })

  it('leaves the columns out for files that are not known, which may have others', () => {
    expect(next('sft', { chat: true })).toContain('attune dpo --model runs/a --data PAIRS.jsonl --chat')
    expect(next('reward')).toContain('attune score --model runs/a --data ROWS.jsonl')
  })
})

describe('flags', () => {
  const spec = {
    summary: 's',
    example: 'x',
    schema: z.object({
      what: z.string().optional(),
      files: z.array(z.string()).optional(),
      shuffle: z.boolean().default(true),
      wpo: z.boolean().default(false),
      rate: z.number().default(1),
      column: z.record(z.string(), z.string()).default({}),
    }),
    operands: ['what'] as const,
    run: async () => {},
  }
  const parse = (...argv: string[]) => {
    const program = makeParser('x', spec)
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
    try {
      return { ...program.parse(argv, { from: 'user' }).opts(), args: program.args }
    } catch (error) {
      throw usageFault(error, program)
    }
  }

  it('that were not typed are not in the result', () => {
    expect(parse()).toEqual({ args: [] })
  })

  it('may be repeated, negated, and followed by negative numbers', () => {
    expect(parse('a', '--files', 'b', 'c', '--files', 'd', '--no-shuffle', '--wpo', '--rate', '-1')).toEqual({
      args: ['a'],
      files: ['b', 'c', 'd'],
      shuffle: false,
      wpo: true,
      rate: '-1',
    })
    expect(parse('--shuffle', '--no-wpo', '--column', 'a=b', '--column', 'c=d')).toMatchObject({
      shuffle: true,
      wpo: false,
      column: ['a=b', 'c=d'],
    })
  })

  it.each([
    [['--shufle'], '--shufle: is not a flag of attune x; did you mean --shuffle?'],
    [['--rat=3'], '--rat: is not a flag of attune x; did you mean --rate?'],
    [['--zzzzzzzzzzzz'], '--zzzzzzzzzzzz: is not a flag of attune x; attune x --help lists them'],
    [['--rate'], "option '--rate <N>' argument missing"],
    [['a', 'b'], 'too many arguments. Expected 1 argument but got 2.'],
  ])('%j is refused with a message', (argv, message) => {
    expect(() => parse(...argv)).toThrow(message)
  })
})
