/**
 * What a user sees of a command: its help, its JSON lines and its files, without values that differ from run to run.
 * Those are times, memory, versions and paths. Numbers may differ in their last digits between processors.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { fileSource } from '../../src/util/files.node.ts'
import type { Warm } from './warm.ts'

export type Observed = { code: number | null; stdout: unknown[]; files: Record<string, unknown> }

/** Keys whose values differ from run to run. */
const volatile =
  /^(seconds|tokens_per_second|absolute|at|stepsPerSecond|hash|peak_memory|time\/.*|version|created|created_at|updated|started|ended|date|host|pid|node|platform|machine|cpu|ms|duration|sha256|log|free_memory|attune|cores|memory)$/

/** The path of this checkout. */
const checkout = fileURLToPath(new URL('../../', import.meta.url))

/** Values made comparable: paths relative to `root`, without volatile keys. */
export const steady = (value: unknown, root: string): unknown => {
  if (typeof value === 'string') return value.replaceAll(root, '<root>').replaceAll(checkout, '<attune>/')
  if (Array.isArray(value)) return value.map((each) => steady(each, root))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, volatile.test(key) ? `<${typeof each}>` : steady(each, root)]),
  )
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const linesOf = (text: string, root: string): unknown[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => steady(parsed(line), root))

const tensorsOf = async (path: string) => {
  const { tensors } = await openSafetensors(await fileSource(path))
  const found: Record<string, unknown> = {}
  for (const [name, tensor] of tensors) {
    const values = await tensor.floats()
    const size = values.reduce((sum, x) => sum + Math.abs(x), 0) / values.length
    found[name] = [tensor.dtype, tensor.shape, Number(size.toPrecision(5))]
  }
  return found
}

const fileOf = async (path: string, root: string): Promise<unknown> => {
  if (path.endsWith('.safetensors')) return tensorsOf(path)
  if (path.endsWith('.json')) return steady(parsed(readFileSync(path, 'utf8')), root)
  if (!path.endsWith('.jsonl')) return 'there'
  const lines = linesOf(readFileSync(path, 'utf8'), root)
  return { lines: lines.length, first: lines[0], last: lines.at(-1) }
}

/** Files copied from the model folder. */
const copied = /^(tokenizer.*|special_tokens_map|generation_config|config)\.json$/

export const filesOf = async (dir: string, root: string): Promise<Record<string, unknown>> => {
  const found: Record<string, unknown> = {}
  const visit = async (path: string): Promise<void> => {
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) await visit(join(path, name))
      return
    }
    const name = relative(dir, path)
    // The name contains a hash of the input paths
    if (/[0-9a-f]{32}/.test(name)) {
      const kind = name.replace(/[0-9a-f]{32}/g, '<hash>')
      found[kind] = Number(found[kind] ?? 0) + 1
    } else found[name] = copied.test(path.split('/').at(-1)!) ? 'there' : await fileOf(path, root)
  }
  if (existsSync(dir)) await visit(dir)
  return found
}

/** Runs a command. @param output the file or folder that it makes, below `root` */
export const observe = async (
  warm: Warm,
  argv: readonly string[],
  { root, cache, output }: { root: string; cache: string; output?: string },
): Promise<Observed> => {
  const { code, stdout, stderr } = await warm.run(argv, cache)
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${code}\n${stderr}`)
  return { code, stdout: linesOf(stdout, root), files: output ? await filesOf(output, root) : {} }
}

/**
 * The first difference of two values: its path and both values. Numbers may differ by one part in five hundred, sizes of JSON files
 * by the digits of their numbers.
 */
export const differenceOf = (is: unknown, was: unknown, apart = 2e-3, at = ''): string | undefined => {
  if (apart === Number.POSITIVE_INFINITY && typeof is !== 'object' && typeof is === typeof was) return undefined
  if (typeof is === 'number' && typeof was === 'number') {
    const near = 1e-5 + (/\.json\/size$/.test(at) ? Math.max(apart, 0.03) : apart) * Math.abs(was)
    return Math.abs(is - was) <= near ? undefined : `${at}: ${is}, before ${was}`
  }
  if (typeof is !== 'object' || typeof was !== 'object' || is === null || was === null)
    return Object.is(is, was) ? undefined : `${at}: ${JSON.stringify(is)}, before ${JSON.stringify(was)}`
  const keys = new Set([...Object.keys(was), ...Object.keys(is)])
  for (const key of keys) {
    if (key === 'message') continue // the wording may change
    const found = differenceOf(
      (is as Record<string, unknown>)[key],
      (was as Record<string, unknown>)[key],
      apart,
      `${at}/${key}`,
    )
    if (found) return found
  }
  return undefined
}

export type Shown = { name: string; argv: readonly string[]; output?: string }

/** Commands other than training, on the runs of the scenarios. */
export const commandsIn = (inputs: string, runs: Readonly<Record<string, string>>): readonly Shown[] => {
  const at = (name: string) => join(inputs, name)
  const model = ['--model', at('model'), '--threads', '1']
  const rows = ['--data', at('pairs.jsonl'), '--max-samples', '3']
  const reward = ['--model', runs['reward of pairs, evaluated'], '--threads', '1']
  return [
    {
      name: 'generate',
      argv: ['generate', ...model, '--data', at('chosen.jsonl'), '--max-new-tokens', '6', '--seed', '1'],
    },
    {
      name: 'best-of-n',
      argv: ['best-of-n', ...model, ...rows, '--reward', 'regex:e', '--num-generations', '2', '--max-new-tokens', '6'],
    },
    { name: 'score', argv: ['score', ...model, '--data', at('chosen.jsonl')] },
    { name: 'score, rewards', argv: ['score', ...reward, '--data', at('chosen.jsonl')] },
    { name: 'credit', argv: ['credit', ...reward, '--data', at('pairs.jsonl'), '--max-samples', '2'] },
    { name: 'data', argv: ['data', at('pairs.jsonl'), '--model', at('model')] },
    {
      name: 'data, converted',
      argv: ['data', at('pairs.jsonl'), '--to', 'kto', '--output', at('thumbs.jsonl')],
      output: at('thumbs.jsonl'),
    },
    { name: 'inspect', argv: ['inspect', at('model')] },
    {
      name: 'check',
      argv: ['check', '--model', at('model'), ...rows, '--for', 'dpo', '--rows', '1', '--max-length', '48'],
    },
    { name: 'tokenize', argv: ['tokenize', '--model', at('model'), '--text', 'Once upon a time'] },
    { name: 'runs', argv: ['runs', 'show', runs['kto, all weights']] },
    { name: 'runs, compared', argv: ['runs', 'compare', runs['kto, all weights'], runs['spin, triplets']] },
    {
      name: 'init',
      argv: ['init', '--config', join(at('model'), 'config.json'), '--output', at('made')],
      output: at('made'),
    },
    {
      name: 'merge',
      argv: ['merge', '--model', runs['spin, triplets'], '--output', at('merged')],
      output: at('merged'),
    },
    {
      name: 'export',
      argv: ['export', '--model', at('model'), '--gguf', 'F32', '--output', at('one.gguf')],
      output: at('one.gguf'),
    },
    {
      name: 'cartpole',
      argv: [
        'cartpole',
        '--method',
        'ppo,reinforce',
        '--seeds',
        '1',
        '--jobs',
        '1',
        '--episodes',
        '3',
        '--steps',
        '256',
        '--output',
        at('poles'),
      ],
      output: at('poles'),
    },
  ]
}

/** The commands and flags of a help text, each with the name, choices and default of its value, without descriptions. */
export const usageOf = (help: string): unknown => {
  const entries: string[] = []
  let group = ''
  const found: Record<string, string> = {}
  for (const line of help.split('\n')) {
    const heading = /^([A-Z][\w ]*):/.exec(line)?.[1]
    if (heading) group = heading
    const entry = /^ {2}(\S.*?)(?: {2,}(.*))?$/.exec(line)
    if (entry && group !== 'Example') {
      entries.push(`${group}: ${entry[1]}`)
      found[entries.at(-1)!] = entry[2] ?? ''
    } else if (entries.length && line.startsWith('   ')) found[entries.at(-1)!] += ` ${line.trim()}`
  }
  return Object.fromEntries(
    Object.entries(found).map(([entry, text]) => [
      entry,
      [/: ([\w-]+(?:, [\w-]+)+)(?= \(|$)/.exec(text)?.[1] ?? '', /\((required|default: [^)]*)\)/.exec(text)?.[1] ?? ''],
    ]),
  )
}

/**
 * What is recorded: a number that is near that of the earlier recording stays as it was. Recordings can then be renewed on another
 * kind of processor, and their differences show only what was changed.
 */
export const withOldNumbers = (is: unknown, was: unknown): unknown => {
  if (typeof is === 'number' && typeof was === 'number')
    return Math.abs(is - was) <= 0.25 * Math.abs(was) + 1e-3 && !Number.isInteger(was) ? was : is
  if (Array.isArray(is)) {
    const before = Array.isArray(was) ? was : []
    const old = new Map(before.map((item, i) => [placeOf(item, i, before), item]))
    return is.map((item, i) => withOldNumbers(item, old.get(placeOf(item, i, is))))
  }
  if (typeof is !== 'object' || is === null) return is
  const before = (typeof was === 'object' && was !== null ? was : {}) as Record<string, unknown>
  return Object.fromEntries(Object.entries(is).map(([key, value]) => [key, withOldNumbers(value, before[key])]))
}

/** Events are found by kind and step, so that one that is new moves no other. */
const placeOf = (item: unknown, i: number, items: readonly unknown[]): string => {
  const kind = (of: unknown) => {
    const { event, step } = (of ?? {}) as Record<string, unknown>
    return event === undefined ? undefined : `${event} ${step}`
  }
  const own = kind(item)
  return own === undefined ? `${i}` : `${own} ${items.slice(0, i).filter((other) => kind(other) === own).length}`
}
