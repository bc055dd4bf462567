/** The command lines that the studio starts are ones that the command line takes, and mean what was asked for. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { commands } from '../src/cli/commands.ts'
import { makeParser } from '../src/cli/flags.ts'
import { checkSettings as checkOptions, collectSettings } from '../src/cli/settings.ts'
import { methodKeys, methods } from '../src/recipes/methods.ts'
import { generateArgv } from '../src/studio/jobs/answers.ts'
import type { FormField } from '../src/studio/jobs/api.ts'
import { checkSettings, methodForm } from '../src/studio/jobs/forms.ts'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'attune-commands-')))
writeFileSync(join(root, 'rows.jsonl'), '{}\n')
afterAll(() => rmSync(root, { recursive: true }))

/** The settings that the command line reads from words. */
const read = async ([name, ...words]: readonly string[]): Promise<Record<string, unknown>> => {
  const command = await commands.find((entry) => entry.name === name)!.load(words)
  const parser = makeParser(name, command).exitOverride()
  parser.action(() => {})
  parser.parse(words, { from: 'user' })
  const given = await collectSettings(command.schema, parser.opts())
  checkOptions(command.schema, { output: 'x', ...given })
  return given
}

/** Something for each field that is not its default, in the texts of a form. */
const sampleOf = ({ key, kind, of, value, choices, fallback, whole, least, most }: FormField): unknown => {
  if (kind === 'boolean') return fallback !== true
  if (kind === 'choice') return choices.at(-1)
  if (kind === 'record') return of === 'number' ? ['power=2'] : ['chosen=good one']
  if (kind === 'list' && of === 'number') return whole ? ['2', '3'] : ['0.5', '0.25']
  if (kind === 'number') return String(whole ? (least ?? 0) + 2 : most === undefined ? (least ?? 0) + 1.5 : most / 2)
  const text = value === 'FILE' ? 'rows.jsonl' : key === 'loss' ? 'ipo' : key === 'label' ? '>=4' : 'owner/name'
  return kind === 'list' ? [text, text] : text
}

it.each(methodKeys)('every setting of %s comes through the command line as the form has it', async (key) => {
  const { fields } = await methodForm(key)
  for (const field of fields) {
    const needed = Object.fromEntries(fields.filter(({ required }) => required).map((one) => [one.key, sampleOf(one)]))
    const given = { ...needed, [field.key]: sampleOf(field) }
    const { argv, problems } = await checkSettings(root, key, given, 'attune-runs/new')
    // Some settings go only with others, which the method itself says
    expect(
      problems.filter((problem) => problem.key === field.key),
      field.key,
    ).toEqual([])
    const settings = await read(argv)
    const asTexts = (value: unknown): string =>
      JSON.stringify([value].flat().map((one) => (typeof one === 'object' ? one : String(one))))
    const expected =
      field.kind === 'record' ? (field.of === 'number' ? { power: 2 } : { chosen: 'good one' }) : given[field.key]
    expect(asTexts(settings[field.key]), `${methods[key].name} ${field.key}`).toBe(asTexts(expected))
  }
})

it('answers are asked for with flags that attune generate has', async () => {
  const sampling = { maxNewTokens: 5, temperature: 0, topP: 0.5, seed: 1, chat: false }
  const settings = await read(generateArgv({ model: '-m', adapter: 'a' }, 'p.jsonl', 2, sampling))
  expect(settings).toMatchObject({
    model: '-m',
    adapter: 'a',
    data: ['p.jsonl'],
    numReturnSequences: 2,
    temperature: 0,
  })
})

it('rewards and verdicts too', async () => {
  expect(await read(['score', '--model', 'm', '--data', 'f'])).toEqual({ model: 'm', data: ['f'] })
  expect(await read(['judge', '--judge', 'm', '--data', 'f'])).toEqual({ judge: 'm', data: ['f'] })
})
