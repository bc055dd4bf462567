import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { fieldsOf } from '../recipes/settings/fields.ts'
import { commands } from './commands.ts'
import { usageFault } from './failure.ts'
import { makeParser } from './flags.ts'

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
