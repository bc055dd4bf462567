/** Models below a folder: the runs with what they made and their checkpoints, and folders of models and adapters. */
import { readdir, readFile } from 'node:fs/promises'
import { basename, join, relative, sep } from 'node:path'
import { isLookedInto } from '../lookedInto.ts'
import type { ModelChoice, ModelChoices } from './api.ts'

const deepest = 4
const mostFolders = 2000
const mostModels = 1000

/** Sorted by path; checkpoints stand below their run, the newest first. Links are not followed, so nothing outside is listed. */
export const modelsBelow = async (root: string): Promise<ModelChoices> => {
  const found: ModelChoice[] = []
  const bases = new Set<string>()
  let cut = false
  let seen = 0
  let level = [root]
  for (let depth = 0; depth <= deepest && level.length > 0; depth++) {
    const next: string[] = []
    for (const dir of level) {
      if (seen++ >= mostFolders || found.length >= mostModels) {
        cut = true
        break
      }
      const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
      const files = new Set(entries.filter((entry) => entry.isFile()).map(({ name }) => name))
      const path = pathFrom(root, dir)
      if (files.has('run.json')) {
        found.push(...(await modelsOfRun(root, dir)))
        const { config } = (await jsonOf(join(dir, 'run.json'))) as { config?: { model?: unknown } }
        if (typeof config?.model === 'string') bases.add(config.model)
      } else if (files.has('adapter_config.json')) found.push({ model: path, kind: 'adapter' })
      else if (files.has('config.json') && [...files].some(isWeights))
        found.push({ model: path, kind: (await isReward(join(dir, 'config.json'))) ? 'reward' : 'model' })
      else if (depth === 0 || isLookedInto(basename(dir)))
        for (const entry of entries)
          if (entry.isDirectory() && !entry.name.startsWith('.')) next.push(join(dir, entry.name))
    }
    level = next.sort()
  }
  const listed = new Set(found.map(({ model }) => model))
  // Links and the cache of the hub are not looked into, but the runs name what they began from
  for (const model of [...bases].sort())
    if (!listed.has(model) && hubName.test(model)) found.push({ model, kind: 'model' })
  return { models: found, cut }
}

/** owner/name, or a path of that form. */
const hubName = /^[\w-][\w.-]*\/[\w-][\w.-]*$/

const isWeights = (name: string) => /^(model|pytorch_model).*\.(safetensors|bin|json)$/.test(name)

/** From the root, with slashes; the root itself is a dot. */
const pathFrom = (root: string, dir: string) => relative(root, dir).split(sep).join('/') || '.'

const isReward = async (config: string): Promise<boolean> => {
  const { architectures } = (await jsonOf(config)) as { architectures?: unknown }
  return Array.isArray(architectures) && architectures.some((name) => /SequenceClassification/.test(String(name)))
}

const jsonOf = async (path: string): Promise<object> => {
  const text = await readFile(path, 'utf8').catch(() => '{}')
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

const modelsOfRun = async (root: string, dir: string): Promise<ModelChoice[]> => {
  const { method } = (await jsonOf(join(dir, 'run.json'))) as { method?: unknown }
  const run = pathFrom(root, dir)
  const common = { run, ...(typeof method === 'string' && { method }) }
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  const has = (name: string) => entries.some((entry) => entry.isDirectory() && entry.name === name)
  const made: ModelChoice[] = []
  if (has('model') || has('adapter')) made.push({ model: run, kind: method === 'reward' ? 'reward' : 'run', ...common })
  // Those of a reward model complete nothing
  if (method !== 'reward' && has('checkpoints'))
    for (const step of await stepsIn(join(dir, 'checkpoints')))
      made.push({ model: `${run}/checkpoints/step-${step}`, kind: 'checkpoint', step, ...common })
  return made
}

const stepsIn = async (dir: string): Promise<number[]> =>
  (await readdir(dir).catch(() => []))
    .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a)
