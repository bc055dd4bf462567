/** Runs recipes for tests: on a tiny model, in temporary folders, with their events collected. */

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, vi } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import type { Extras, Recipe, TrainEvent } from '../../src/recipes/trainer/recipe.ts'
import type { EndEvent } from '../../src/runs/events.ts'
import type { StepEvent } from '../../src/train/loop.ts'
import { fileSource } from '../../src/util/files.node.ts'
import { rng } from '../../src/util/rng.ts'
import { sha256File } from '../../src/util/sha256.node.ts'
import { fixture, largestDifference } from './golden.ts'

/** A model of 128 tokens, two layers and tied embeddings; no tokenizer. */
export const tiny = fixture('models/llama-tied')

/** A temporary folder for the tests of a file, which also holds the cache. */
export const testFolder = () => {
  let root = ''
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'attune-smoke-'))
    vi.stubEnv('ATTUNE_CACHE', join(root, 'cache'))
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await rm(root, { recursive: true })
  })
  return {
    at: (name: string) => join(root, name),
    /** Writes rows to a jsonl file. */
    rows: async (name: string, rows: readonly object[]) => {
      const path = join(root, `${name}.jsonl`)
      await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
      return path
    },
  }
}

/** Random token ids between 3 and 127, different for each stream. */
export const ids = (stream: number, length: number): number[] => {
  const { uniform } = rng(11, stream)
  return Array.from({ length }, (_, i) => 3 + Math.floor(uniform(i) * 125))
}

type Settings = { data: string | string[]; output: string } & Record<string, unknown>

export const settingsOf = (recipe: Recipe, { data, ...settings }: Settings) =>
  recipe.schema.parse({
    ...{ model: tiny, threads: 1, batchSize: 4, learningRate: 1e-3, maxSteps: 4, epochs: 100 },
    ...{ loraDropout: 0, ...settings, data: [data].flat() },
  })

/** Trains. @returns all events, which are passed to `each` as they come */
export const train = async (
  recipe: Recipe,
  settings: Settings,
  extras: Extras = {},
  each: (event: TrainEvent) => void = () => {},
) => {
  const events: TrainEvent[] = []
  for await (const event of recipe.run(settingsOf(recipe, settings), extras)) {
    events.push(event)
    each(event)
  }
  return {
    events,
    steps: events.filter((event): event is StepEvent => event.event === 'step'),
    losses: events.flatMap((event) => (event.event === 'step' ? [event.loss] : [])),
    evals: events.flatMap((event) => (event.event === 'eval' ? [event.eval_loss] : [])),
    end: events.at(-1) as EndEvent,
  }
}

/** The events of a run until `last` returns true, as if the process died then. */
export const runUntil = async (
  recipe: Recipe,
  settings: object,
  last: (event: TrainEvent, events: readonly TrainEvent[]) => boolean = () => false,
) => {
  const events: TrainEvent[] = []
  for await (const event of recipe.run(recipe.schema.parse(settings))) {
    events.push(event)
    if (last(event, events)) break
  }
  return events
}

export const eventsOf = <E extends TrainEvent['event']>(events: readonly TrainEvent[], name: E) =>
  events.filter((event): event is Extract<TrainEvent, { event: E }> => event.event === name)

const weightsFile = async (output: string): Promise<string> => {
  const names = await readdir(output)
  return join(output, names.includes('adapter') ? 'adapter/adapter_model.safetensors' : 'model/model.safetensors')
}

/** SHA-256 of the resulting weights. */
export const hashOf = async (output: string) => sha256File(await weightsFile(output))

/** The largest difference between the weights of two results. */
export const weightsApart = async (a: string, b: string): Promise<number> => {
  const [x, y] = await Promise.all(
    [a, b].map(async (output) => (await openSafetensors(await fileSource(await weightsFile(output)))).tensors),
  )
  const apart = [...x].map(async ([name, tensor]) =>
    largestDifference(await tensor.floats(), await y.get(name)!.floats()),
  )
  return Math.max(...(await Promise.all(apart)))
}

/** A signal that aborts a run after some steps. */
export const stopAfter = (steps: number) => {
  const controller = new AbortController()
  return {
    signal: controller.signal,
    each: (event: TrainEvent) => {
      if (event.event === 'step' && event.step >= steps) controller.abort()
    },
  }
}

/** The rows of a file of JSON lines. */
export const linesOf = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

export const logOf = (output: string): Promise<Record<string, unknown>[]> => linesOf(join(output, 'events.jsonl'))

const volatile = /^(seconds|tokens_per_second|peak_memory|output|time\/.*)$/

/** The log without times, speed, memory and paths. */
export const logWithoutTimes = async (output: string) =>
  (await logOf(output)).map((event) =>
    Object.fromEntries(Object.entries(event).filter(([name]) => !volatile.test(name))),
  )
