/**
 * Finds the files of a data set on the hub that hold a split: from its card (README.md, `configs:` in the YAML front
 * matter), else from file names, as the datasets library does.
 * https://huggingface.co/docs/hub/datasets-data-files-configuration
 */
import { parse } from 'yaml'
import { z } from 'zod'
import { badInput } from '../util/fault.ts'
import { nearest } from '../util/nearest.ts'
import { quoted } from '../util/quote.ts'

const patterns = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat())
const configSchema = z.object({
  config_name: z.string(),
  default: z.boolean().optional(),
  data_dir: z.string().optional(),
  data_files: z
    .union([
      patterns.transform((path) => [{ split: 'train', path }]),
      z.array(z.object({ split: z.coerce.string(), path: patterns })),
    ])
    .optional(),
})
const cardSchema = z.object({ configs: z.array(configSchema) })
export type DataConfig = z.infer<typeof configSchema>

/** Longer front matter is not parsed: the parser's time can grow with the square of its length. */
const MAX_FRONT = 2 ** 18

/** The configurations that a card lists; none where it has none or cannot be read. */
export const cardConfigs = (readme: string): DataConfig[] => {
  const front = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readme)?.[1] ?? ''
  if (front.length > MAX_FRONT) return []
  try {
    // the library's warnings would print untrusted text on the terminal
    return cardSchema.parse(parse(front, { logLevel: 'silent' })).configs
  } catch {
    return []
  }
}

/**
 * @param config a configuration of the card, or a folder. Throws Faults 'no-data' that list the splits or
 * configurations there are.
 */
export const splitFiles = (
  name: string,
  paths: readonly string[],
  configs: readonly DataConfig[],
  { split, config }: { split: string; config?: string },
): string[] => {
  const chosen = chooseConfig(name, configs, config)
  const data = paths.filter((path) => DATA.test(path) && !/(^|\/)(dataset_infos?\.json$|\.)/.test(path))
  if (chosen?.data_files) return listed(name, data, chosen.data_files, split, chosen.data_dir)
  const folder = chosen ? chosen.data_dir : config
  const inside = folder === undefined ? data : data.filter((path) => path.startsWith(`${folder}/`))
  if (inside.length === 0) {
    const folders = data.flatMap((path) => /^(.*)\//.exec(path)?.[1] ?? [])
    throw folder === undefined
      ? badInput('no-data', NO_DATA, { file: name })
      : unknown(name, 'configuration', folder, folders)
  }
  return guessed(name, inside, split, folder)
}

const DATA = /\.(parquet|jsonl|ndjson|json|csv|tsv)(\.gz)?$/
const NO_DATA = 'this data set holds no parquet, jsonl, json, csv or tsv files'

const unknown = (name: string, what: string, asked: string, there: Iterable<string>) => {
  const known = [...new Set(there)].sort()
  const near = nearest(asked, known)
  const hint = near ? `; did you mean ${near}?` : ''
  return badInput('no-data', `has no ${what} ${quoted(asked)}, only ${known.join(', ') || 'none'}${hint}`, {
    file: name,
  })
}

const chooseConfig = (name: string, configs: readonly DataConfig[], asked?: string): DataConfig | undefined => {
  if (configs.length === 0) return undefined
  const names = configs.map(({ config_name }) => config_name)
  if (asked !== undefined) {
    const found = configs.find(({ config_name }) => config_name === asked)
    if (!found) throw unknown(name, 'configuration', asked, names)
    return found
  }
  const standard = configs.find((one) => one.default) ?? configs.find((one) => one.config_name === 'default')
  if (standard ?? configs.length === 1) return standard ?? configs[0]
  throw badInput('no-data', `has several configurations; add one of ${names.map((one) => `#${one}`).join(', ')}`, {
    file: name,
  })
}

const listed = (
  name: string,
  data: readonly string[],
  entries: NonNullable<DataConfig['data_files']>,
  split: string,
  folder?: string,
): string[] => {
  const entry = entries.find((one) => one.split === split)
  if (!entry)
    throw unknown(
      name,
      'split',
      split,
      entries.map((one) => one.split),
    )
  const globs = entry.path.map((path) => (folder ? `${folder}/${path}` : path).replace(/^\.?\//, ''))
  const files = data.filter((path) => globs.some((glob) => globMatches(glob, path)))
  if (files.length === 0)
    throw badInput('no-data', `no file of the split ${quoted(split)} can be read: ${globs}`, { file: name })
  return files.sort()
}

const keywords: Record<string, string> = {
  train: 'train',
  training: 'train',
  validation: 'validation',
  valid: 'validation',
  dev: 'validation',
  val: 'validation',
  test: 'test',
  testing: 'test',
  eval: 'test',
  evaluation: 'test',
}

const canonical = (word: string): string => (Object.hasOwn(keywords, word) ? keywords[word] : word)

/**
 * The split of a file: from `train_prefs-00000-of-00001`, else from a keyword in its name, else from one in its
 * folders.
 */
const splitOf = (path: string): string | undefined => {
  const file = path.split('/').at(-1)!
  const sharded = /^([\w.]+)-\d{5}-of-\d{5}/.exec(file)?.[1]
  if (sharded) return canonical(sharded)
  const words = [...file.split(/[-._ ]/), ...path.split(/[-._ /]/)].map((word) => word.toLowerCase())
  const found = words.find((word) => Object.hasOwn(keywords, word))
  return found && keywords[found]
}

const guessed = (name: string, data: readonly string[], split: string, folder?: string): string[] => {
  const inside = (path: string) => (folder === undefined ? path : path.slice(folder.length + 1))
  const named = data.map((path) => [splitOf(inside(path)), path] as const)
  const nothing = named.every(([one]) => one === undefined)
  const splits = named.flatMap(([one]) => one ?? (nothing ? 'train' : []))
  const files = named
    .filter(([one]) => (one ?? (nothing ? 'train' : undefined)) === canonical(split))
    .map(([, path]) => path)
  if (files.length === 0) throw unknown(name, 'split', split, splits)
  return oneFormat(files).sort()
}

/**
 * The same rows are often there as parquet and as json: takes the format with the most files, or parquet for as many.
 */
const oneFormat = (files: string[]): string[] => {
  const formatOf = (path: string) => DATA.exec(path)![1]
  const groups = [...new Set(files.map(formatOf))].map((format) => files.filter((path) => formatOf(path) === format))
  const parquet = (group: string[]) => Number(formatOf(group[0]) === 'parquet')
  return groups.sort((a, b) => b.length - a.length || parquet(b) - parquet(a))[0]
}

/**
 * Globs: `*`, `?` and `[a-z]` within a folder, `**` across folders. Takes time glob x path, so that an untrusted
 * pattern cannot hang.
 */
export const globMatches = (glob: string, path: string): boolean => {
  const tokens = glob.match(/\*\*\/|\*+|\[[^\]/]*\]|[\s\S]/g) ?? []
  let states = new Set([0])
  for (let at = 0; ; at++) {
    const skippable = (token: string) => (token === '**/' ? at === 0 || path[at - 1] === '/' : token[0] === '*')
    for (const state of states) if (state < tokens.length && skippable(tokens[state])) states.add(state + 1)
    if (at === path.length) return states.has(tokens.length)
    const next = new Set<number>()
    for (const state of states) {
      const token = tokens[state]
      if (token === undefined) continue
      if (token[0] === '*') (token.length > 1 || path[at] !== '/') && next.add(state)
      else if (token === path[at] || (token === '?' && path[at] !== '/') || inClass(token, path[at]))
        next.add(state + 1)
    }
    states = next
  }
}

const inClass = (token: string, char: string): boolean => {
  if (token.length < 3 || char === '/') return false
  const negated = token[1] === '!' || token[1] === '^'
  const parts = token.slice(negated ? 2 : 1, -1).match(/[\s\S]-[\s\S]|[\s\S]/g) ?? []
  const found = parts.some((part) => (part.length === 3 ? part[0] <= char && char <= part[2] : part === char))
  return found !== negated
}
