/**
 * What a worker computes: a function for each kind of shard. Nothing else can be asked of it, and a shard names no code: only models,
 * numbers, and settings of attune's own methods.
 */
import { readFile, stat } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { worthPacking } from '../generate/memory.node.ts'
import { openScheduler, type Scheduler } from '../generate/scheduler.ts'
import { computePass, type PassInput } from '../generate/sharedPasses.ts'
import { computeSamples, type ModelMoment, type SamplesInput } from '../generate/sharedSampling.ts'
import { openTokenization } from '../generate/tokenization.node.ts'
import { type CellInput, computeCell } from '../labs/scaling/sharedCell.ts'
import { computeForms } from '../passes/int8.ts'
import type { Model } from '../passes/model.ts'
import { openModel } from '../passes/open.node.ts'
import { openPolicyScheduler } from '../recipes/rl/rollout.ts'
import { policyWithValueHead, valueModelHead } from '../recipes/rl/valueModel.ts'
import { optimizers } from '../recipes/trainer/fields.ts'
import { openPolicy, type Policy } from '../recipes/trainer/policy.ts'
import {
  computeEvaluation,
  computeGradient,
  type EvaluationInput,
  type GradientInput,
  type SharedHead,
  setParams,
  sharedHeads,
} from '../recipes/trainer/sharedPolicy.ts'
import { quantFormats } from '../tensor/quantization.ts'
import { badInput } from '../util/fault.ts'
import { unpack } from '../util/packed.ts'
import { linkFolder } from './cache.ts'

/** Where the content of a shard lies, by hash. */
export type Files = ReadonlyMap<string, string>

export type Executors = {
  /** @param packed the shards of a job, as the coordinator published them   @returns what each comes to */
  compute(packed: Uint8Array, files: Files): Promise<unknown[]>
  close(): Promise<void>
}

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const momentSchema = z.looseObject({ model: hash, params: hash.optional() })
const shardSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['gradient', 'evaluation', 'samples', 'pass']), input: momentSchema }),
  z.object({ kind: z.literal('cell'), input: z.looseObject({ left: z.record(z.string(), hash) }) }),
])

const jobSchema = z.object({ shards: z.array(shardSchema).min(1) })

const quantize = z.enum(['none', ...quantFormats])
const compute = z.enum(computeForms)
const folders = { base: z.record(z.string(), hash), adapter: z.record(z.string(), hash).optional() }

/** A model that does not change, and one that a run trains. */
const modelSchema = z.union([
  z.object({
    ...folders,
    open: z.object({
      quantize,
      compute,
      head: z.enum(['language', 'scores', 'either', 'encoder', 'pairs']).optional(),
    }),
  }),
  z.object({
    ...folders,
    settings: z.object({
      loraR: z.number().int().positive().optional(),
      loraAlpha: z.number().positive().optional(),
      loraDropout: z.number().min(0).lt(1),
      loraTarget: z.array(z.string()).optional(),
      useDora: z.boolean().optional(),
      quantize,
      compute,
      optimizer: z.enum(optimizers),
      weightDecay: z.number(),
      seed: z.number(),
    }),
    head: z.enum(sharedHeads).optional(),
  }),
])

/** Sequences that a worker decodes at once. */
const batchSize = 64

type Opened = { model: Model; scheduler(): Scheduler; policy?: Policy; close(): Promise<void> }

/** Models that stay open, at most: those of one run, such as its policy and its reward model. */
const mostOpen = 3
/** The part of the memory that the files of all open models may have; opened they take several times as much. */
const filesShare = 1 / 8

/** @param folder for folders of models, beside the cached files and on their disk */
export const openExecutors = (folder: string, threads: number | undefined): Executors => {
  /** By what opens them, those that were used longest ago first. */
  const open = new Map<string, Opened & { bytes: number; params?: string }>()

  const closeFirst = async () => {
    const [[of, { close }]] = open
    open.delete(of)
    await close()
  }

  const openModelOf = async (of: string, files: Files) => {
    const shared = sharedModelIn(await contentOf(files, of))
    const hashes = [...Object.values(shared.base), ...Object.values(shared.adapter ?? {})]
    let bytes = 0
    for (const hash of hashes) bytes += (await stat(pathOf(files, hash))).size
    const total = () => [...open.values()].reduce((sum, each) => sum + each.bytes, bytes)
    while (open.size > 0 && (open.size >= mostOpen || total() > filesShare * totalmem())) await closeFirst()
    return { ...(await openShared(shared, files, folder, threads)), bytes }
  }

  /** The model of a shard with its parameters. */
  const modelOf = async ({ model: of, params }: ModelMoment, files: Files): Promise<Opened> => {
    const found: Opened & { bytes: number; params?: string } = open.get(of) ?? (await openModelOf(of, files))
    open.delete(of)
    open.set(of, found)
    if (params !== undefined && found.params !== params) {
      found.params = undefined
      setParams(requirePolicy(found), await contentOf(files, params))
      found.params = params
    }
    return found
  }

  const computeShard = async (shard: z.infer<typeof shardSchema>, files: Files): Promise<unknown> => {
    const input: unknown = shard.input
    if (shard.kind === 'cell')
      return computeCell(input as CellInput, (hash) => contentOf(files, hash), join(folder, 'cells'))
    const opened = await modelOf(shard.input, files)
    if (shard.kind === 'samples') return computeSamples(opened.scheduler(), input as SamplesInput)
    if (shard.kind === 'pass') return computePass(opened.model, input as PassInput)
    const policy = requirePolicy(opened)
    return shard.kind === 'gradient'
      ? computeGradient(policy, input as GradientInput)
      : computeEvaluation(policy, input as EvaluationInput)
  }

  return {
    async compute(packed, files) {
      const { data: job } = jobSchema.safeParse(unpack(packed))
      if (!job) throw badInput('bad-shard', 'it is no shard of this version')
      const [first, ...others] = job.shards
      const values = [await computeShard(first, files)]
      // Completions of one model are decoded together
      if (job.shards.every((shard) => isOfModel(shard, first)))
        return [...values, ...(await Promise.all(others.map((shard) => computeShard(shard, files))))]
      for (const shard of others) values.push(await computeShard(shard, files))
      return values
    },
    async close() {
      while (open.size > 0) await closeFirst()
    },
  }
}

/** Completions of the same model at the same moment. */
const isOfModel = (shard: z.infer<typeof shardSchema>, first: z.infer<typeof shardSchema>): boolean =>
  shard.kind === 'samples' &&
  first.kind === 'samples' &&
  shard.input.model === first.input.model &&
  shard.input.params === first.input.params

const requirePolicy = ({ policy }: Opened): Policy => {
  if (!policy) throw badInput('bad-shard', 'it trains a model that is not trained')
  return policy
}

const pathOf = (files: Files, hash: string): string => {
  const path = files.get(hash)
  if (path === undefined) throw badInput('bad-shard', 'a part of it was not sent')
  return path
}

const contentOf = async (files: Files, hash: string): Promise<Uint8Array> => readFile(pathOf(files, hash))

const sharedModelIn = (packed: Uint8Array): z.infer<typeof modelSchema> => {
  const { data } = modelSchema.safeParse(unpack(packed))
  if (!data) throw badInput('bad-shard', 'its model is not described as in this version')
  return data
}

const openShared = async (
  data: z.infer<typeof modelSchema>,
  files: Files,
  folder: string,
  threads: number | undefined,
): Promise<Opened> => {
  const base = await linkFolder(folder, data.base, files)
  const dir = isGguf(data.base) ? join(base, Object.keys(data.base)[0]) : base
  const adapter = data.adapter && (await linkFolder(folder, data.adapter, files))
  if ('open' in data) {
    const { model, tokenizer, close } = await openModel({ model: dir, adapter, device: 'cpu', threads, ...data.open })
    const packed = worthPacking(model, Number.POSITIVE_INFINITY)
    return withScheduler({ model, close }, () => openScheduler(model, tokenizer, { batchSize, packed }))
  }
  const folders = { dir, adapter }
  const withHead = data.head && headsByName[data.head](data.settings.seed, dir)
  const policy = await openPolicy({ ...data.settings, memory: 'fast', device: 'cpu', threads }, folders, { withHead })
  const tokenization = await openTokenization(folders, policy.pretrained, {})
  return withScheduler({ model: policy.model, policy, close: policy.close }, () =>
    openPolicyScheduler(policy, tokenization),
  )
}

const headsByName = { value: policyWithValueHead, 'value-model': valueModelHead } satisfies Record<SharedHead, unknown>

/** The scheduler is made when it is first asked for: not every model completes. */
const withScheduler = ({ close, ...opened }: Omit<Opened, 'scheduler'>, make: () => Scheduler): Opened => {
  let scheduler: Scheduler | undefined
  return {
    ...opened,
    scheduler: () => (scheduler ??= make()),
    async close() {
      await scheduler?.close()
      await close()
    },
  }
}

/** A model that is one file, which is named in place of its folder. */
const isGguf = (base: Readonly<Record<string, string>>): boolean =>
  Object.keys(base).length === 1 && Object.keys(base)[0].endsWith('.gguf')
