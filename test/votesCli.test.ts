/** `attune agree`, `metrics`, `import` and `export --to` on the command line, inside this process: what they print, and what they refuse. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { main } from '../src/cli/main.ts'
import { fixture } from './support/golden.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-votes-cli-'))
const at = (name: string) => join(root, name)
afterEach(() => void (process.exitCode = undefined))
afterAll(() => rmSync(root, { recursive: true }))

const file = (name: string, rows: readonly object[]) => {
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return at(name)
}

const attune = async (...argv: string[]) => {
  const written = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation(((text: unknown, done?: () => void) => {
      written[name] += String(text)
      if (typeof done === 'function') done()
      return true
    }) as never),
  )
  await main(argv).finally(() => {
    for (const spy of spies) spy.mockRestore()
  })
  const json = argv.includes('--json')
    ? written.stdout
        .trim()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : []
  return { code: process.exitCode ?? 0, ...written, json }
}

const votes = file(
  'votes.jsonl',
  ['AA', 'AB', 'BB', 'AA'].flatMap((pair, item) => [...pair].map((label, i) => ({ item, annotator: `w${i}`, label }))),
)
const rankings = file('rankings.jsonl', [
  { prompt: 'p', responses: ['a', 'b', 'c'], ranks: [2, 1, null], annotator: 'w' },
])
const compared = file('compared.jsonl', [
  { completion: 'the cat sat', reference: 'the cat sat' },
  { completion: 'dogs run', references: ['a dog runs', 'dogs ran'] },
])

it('agree prints each figure with its interval', async () => {
  const [line] = (await attune('agree', votes, '--json', '--resamples', '100')).json
  expect(line).toMatchObject({ agreement: 0.75, n: 4, annotators: 2, weighted_kappa: 0.5 })
  expect(line.kappa).toBeCloseTo((0.75 - 0.5) / 0.5, 12)
  for (const name of ['kappa', 'fleiss', 'alpha_nominal', 'agreement']) {
    expect(line[`${name}_low`], name).toBeLessThanOrEqual(line[name])
    expect(line[`${name}_high`], name).toBeGreaterThanOrEqual(line[name])
  }
  expect((await attune('agree', votes)).stdout).toContain('4 comparisons on 4 items by 2 annotators')
})

it('metrics prints a line per row and one for all', async () => {
  const rouge = (await attune('metrics', 'rouge', '--data', compared, '--stem', '--json')).json
  expect(rouge[0].rougeL).toEqual({ precision: 1, recall: 1, f: 1 })
  expect(rouge[1].rouge1.f).toBeCloseTo(0.8, 12)
  expect(rouge[2]).toMatchObject({ event: 'end', n: 2, corpus: { rouge1: { f: expect.closeTo(0.9, 12) } } })
  const bleu = (await attune('metrics', 'bleu', '--data', compared, '--json')).json
  expect(bleu.map((line) => Object.keys(line)[0])).toEqual(['score', 'score', 'event'])
  expect(bleu[0].score).toBeCloseTo(100, 9)
  const encoder = at('encoder')
  for (const part of ['models/bert', 'feedback/bertscore/bert']) cpSync(fixture(part), encoder, { recursive: true })
  const bert = (
    await attune('metrics', 'bertscore', '--data', compared, '--model', encoder, '--threads', '1', '--json')
  ).json
  expect(bert[0].score).toBeCloseTo(1, 6)
  expect(bert[2]).toMatchObject({
    event: 'end',
    layer: 2,
    idf: false,
    corpus: { f: expect.closeTo((bert[0].f + bert[1].f) / 2, 12) },
  })
})

it('import and export turn rankings into pairs and tasks', async () => {
  const pairs = at('pairs.jsonl')
  const [imported] = (await attune('import', rankings, '--from', 'rows', '--pairs', '--output', pairs, '--json')).json
  expect(imported).toMatchObject({ kind: 'preference', rows: 3, dropped: {} })
  expect(readFileSync(pairs, 'utf8').split('\n')[0]).toBe('{"prompt":"p","chosen":"b","rejected":"a","annotator":"w"}')
  const tasks = at('tasks.json')
  const [exported] = (await attune('export', rankings, '--to', 'label-studio', '--output', tasks, '--json')).json
  expect(exported).toMatchObject({ written: 1, dropped: {} })
  expect(JSON.parse(readFileSync(tasks, 'utf8'))[0].annotations[0].result[0].value.ranker).toEqual({
    best: ['2', '1'],
    _: ['3'],
  })
  const [truth] = (
    await attune('import', votes, '--from', 'rows', '--consensus', 'majority', '--output', at('truth.jsonl'), '--json')
  ).json
  expect(truth).toMatchObject({ kind: 'labels', rows: 3, dropped: { undecided: 1 } })
})

describe('refused with one message and exit code 2', () => {
  it.each([
    ['a flag of another metric', ['metrics', 'bleu', '--data', compared, '--stem'], '--stem: is of rouge'],
    ['a value without its smoothing', ['metrics', 'bleu', '--data', compared, '--smooth-value', '2'], '--smooth floor'],
    ['BERTScore without an encoder', ['metrics', 'bertscore', '--data', compared], '--model'],
    ['a row without a reference', ['metrics', 'rouge', '--data', rankings], 'row 0'],
    [
      'a model among rows',
      ['export', rankings, '--to', 'trl', '--model', 'm', '--output', at('no.jsonl')],
      '--model: is of models',
    ],
    ['rows without a target', ['export', rankings, '--output', at('no.jsonl')], '--to: is needed'],
    ['neither a model nor rows', ['export', '--output', at('no.jsonl')], 'give a model'],
    [
      'a file of another kind',
      ['import', rankings, '--from', 'argilla', '--output', at('no.jsonl')],
      'try --from rows',
    ],
    ['labels without a consensus', ['import', votes, '--from', 'rows', '--output', at('no.jsonl')], '--consensus'],
    ['a file that is there', ['import', rankings, '--from', 'rows', '--output', votes], 'exists already'],
  ])('%s', async (_, argv, message) => {
    const { code, stdout, stderr } = await attune(...argv)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(message)
    expect(existsSync(at('no.jsonl'))).toBe(false)
  })
})
