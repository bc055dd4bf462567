/**
 * The policy: the model that a method trains, with its trainable parameters in arenas. Full fine-tuning trains every parameter;
 * LoRA trains an adapter, new or opened, beside a frozen base model.
 */
import { freemem } from 'node:os'
import { filesOf } from '../../checkpoint/folder.node.ts'
import type { StoredTensor } from '../../checkpoint/stored.ts'
import { headWeight, scoreWeight } from '../../models/architecture.ts'
import { withMagnitudes } from '../../models/dora.ts'
import { loadAdapted, loadPretrained } from '../../models/load.node.ts'
import type { Adapter } from '../../models/lora.ts'
import { moduleOf } from '../../models/loraModules.ts'
import { newAdapter } from '../../models/loraNew.ts'
import { applyAdapter, type Base, trainedWeights } from '../../models/merge.ts'
import type { ModelFolders } from '../../models/resolve.node.ts'
import { requireLanguageHead } from '../../models/scored.ts'
import { decays } from '../../optim/decay.ts'
import { optimizer } from '../../optim/optimizers.ts'
import { calibrationIds } from '../../passes/calibrationIds.node.ts'
import { computeEvents } from '../../passes/computeSpeed.node.ts'
import { type Compute, renewInt8 } from '../../passes/int8.ts'
import { type Model, makeModel, withoutAdapter } from '../../passes/model.ts'
import { linearWeights, putQuantized, type Quantize } from '../../passes/quantize.ts'
import { keptBytes, type Plan } from '../../passes/stack.ts'
import type { ComputeEvent, WarningEvent } from '../../runs/events.ts'
import type { Backend } from '../../runtime/backend.ts'
import { openBackend } from '../../runtime/open.node.ts'
import { makeArenas, viewsOf } from '../../train/arena.ts'
import { makeShardGradient, mostSharedParameters } from '../../train/shards.ts'
import { restoreState } from '../../train/state.ts'
import { makeUpdater } from '../../train/update.ts'
import { badInput } from '../../util/fault.ts'
import { whole } from '../../util/format.ts'
import { sha256Files } from '../../util/sha256.node.ts'
import { countParameters } from '../../util/shape.ts'
import type { Sharing } from '../../util/sharing.ts'
import { usualAlpha } from './fields.ts'
import {
  type PolicySharing,
  type SharedHead,
  type SharedParts,
  type SharedSettings,
  sharePolicy,
} from './sharedPolicy.ts'

/** The settings that decide what is opened. */
export type PolicySettings = SharedSettings & {
  memory: 'auto' | 'fast' | 'low'
  device: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  threads?: number
}

export type Policy = SharedParts & {
  pretrained: Awaited<ReturnType<typeof loadPretrained>>
  adapter?: Adapter
  /** The adapter was made for this run, so without it the model is what it was at the start. */
  freshAdapter: boolean
  quantize: Quantize
  compute: Compute
  counts: { parameters: number; trainable: number }
  /** How workers compute a part of the run, where there may be some. */
  sharing?: PolicySharing
  close(): Promise<void>
}

export type PolicyOptions = {
  /**
   * Gives the model its score head (see models/scored.ts), which is trained whole, beside an adapter too; without it the model
   * must have a language head.
   */
  withHead?: (base: Base) => Base
  /** The name of that head where workers can give a model the same one. */
  sharedHead?: SharedHead
  /** Of another policy, which also closes it. */
  engine?: Backend
  /** Workers that may compute a part of the run. */
  sharing?: Sharing
  /** Called with the number of tensors read, and of all. */
  onTensor?: (done: number, total: number) => void
  /** Called with what 8-bit products gain here, or would gain, where that is worth a line. */
  onCompute?: (found: ComputeEvent | WarningEvent) => void
}

export const openPolicy = async (
  settings: PolicySettings,
  { dir, adapter: adapterDir }: ModelFolders,
  { withHead, sharedHead, engine, sharing, onTensor, onCompute }: PolicyOptions = {},
): Promise<Policy> => {
  refuseQuantizedTraining(settings, adapterDir)
  const opened = await loadPretrained(dir)
  const { base, adapter } = await adapterOf(settings, opened, adapterDir, withHead)
  const pretrained = { ...opened, ...base }
  const hashes = sha256Files(await filesOf({ dir, adapter: adapterDir }, opened.files))
  const threads = threadsFor(pretrained.config, settings.threads)
  const backend = engine ?? (await openBackend({ ...settings, threads }))
  try {
    const full = adapter ? applyAdapter(pretrained, adapter) : { ...pretrained, scalings: new Map<string, number>() }
    const trainable = adapter?.params ?? trainedWeights(pretrained)
    const calibration = await calibrationIds(dir, full.config, settings.compute)
    const weights = await placeWeights(backend, settings, full, trainable, { whole: !adapter, calibration, onTensor })
    const { params, quantized, int8 } = weights
    const model = makeModel({ ...full, backend, params, quantized, int8, dropout: adapter?.dropout ?? 0 })
    if (onCompute)
      for (const found of await computeEvents(model, settings.compute, adapter ? 'adapter' : 'all')) onCompute(found)
    const policy: Policy = {
      ...weights,
      model,
      dir,
      adapterDir,
      pretrained,
      adapter,
      freshAdapter: adapterDir === undefined,
      backend,
      plan: settings.memory === 'low' ? 'low' : 'fast',
      quantize: settings.quantize,
      compute: settings.compute,
      files: await hashes,
      close: async () => {
        if (!engine) await backend.close()
      },
    }
    if (sharing && (!withHead || sharedHead)) {
      if (!policy.shard) throw tooManyParameters(policy.counts.trainable)
      policy.sharing = sharePolicy(policy, settings, sharing, sharedHead)
      policy.model = { ...model, shared: policy.sharing.passes }
    }
    return policy
  } catch (error) {
    if (!engine) await backend.close()
    throw error
  }
}

const tooManyParameters = (trainable: number) =>
  badInput(
    'bad-flag',
    `would move ${Math.round((4 * trainable) / 1e6)} MB to each worker in each step, and as much back for each micro-batch, since ${whole(trainable)} parameters are trained; train an adapter (--lora-r 16), or leave it out`,
    { flag: '--workers' },
  )

const refuseQuantizedTraining = ({ quantize, loraR }: PolicySettings, adapter: string | undefined) => {
  if (quantize === 'none' || loraR !== undefined || adapter !== undefined) return
  throw badInput('bad-flag', `${quantize} weights cannot be trained; add --lora-r 16 to train an adapter on them`, {
    flag: '--quantize',
  })
}

/**
 * Small narrow models get one thread, whatever was asked, so that weights do not depend on the number of threads. The engine
 * divides the columns of a matrix product among its threads, and where a thread gets 64 or fewer it adds up longer blocks (MLAS,
 * StrideK), so that the last bits differ. Such models are no faster on two threads unless the vocabulary is large: then nearly
 * all the work is in the language head, and the number of threads is as asked.
 */
const threadsFor = (
  { hidden_size, num_key_value_heads, head_dim, vocab_size }: Policy['pretrained']['config'],
  threads: number | undefined,
) => {
  const narrow = hidden_size <= 512 && Math.min(hidden_size, num_key_value_heads * head_dim) <= 128
  return narrow && vocab_size < 32_768 ? 1 : threads
}

/** The model with what is trained on it: an adapter, opened or new, or nothing where all weights are trained. */
export const adapterOf = async (
  settings: PolicySettings,
  pretrained: Policy['pretrained'],
  dir: string | undefined,
  withHead: ((base: Base) => Base) | undefined,
): Promise<{ base: Base; adapter?: Adapter }> => {
  const headed = (base: Base) => {
    if (withHead) return withHead(base)
    requireLanguageHead(base, pretrained.dir)
    return base
  }
  if (dir !== undefined) {
    const { base: own, adapter } = await loadAdapted<Base>(dir, pretrained)
    const base = headed(own)
    refuseHeadAdapter(base, adapter, dir)
    refuseOtherShape(settings, base, adapter, dir)
    return { base, adapter: withSavedHead(base, { ...adapter, dropout: settings.loraDropout }) }
  }
  const base = headed(pretrained)
  if (settings.loraR === undefined) {
    if (!settings.useDora) return { base }
    throw badInput('bad-flag', 'is of an adapter; add --lora-r 16 to train one', { flag: '--use-dora' })
  }
  const plain = newAdapter({ r: settings.loraR, ...loraOf(settings) }, base.architecture, base.config, settings.seed)
  const adapter = settings.useDora ? withMagnitudes(plain, base, '--use-dora') : plain
  return { base, adapter: withSavedHead(base, adapter) }
}

const loraOf = ({
  loraAlpha: alpha = usualAlpha,
  loraDropout: dropout,
  loraTarget = ['all-linear'],
}: PolicySettings) => ({
  alpha,
  dropout,
  targets: loraTarget.includes('all-linear')
    ? ('all-linear' as const)
    : loraTarget.includes('peft')
      ? undefined
      : loraTarget,
})

/** An opened adapter goes on as it is: flags about its shape must agree with it. */
const refuseOtherShape = (
  settings: PolicySettings,
  { architecture, config }: Base,
  { targets, dora }: Adapter,
  dir: string,
) => {
  const { loraR, loraAlpha, loraTarget, useDora, seed } = settings
  const refuse = (flag: string, asked: unknown, found: readonly unknown[]) =>
    badInput(
      'bad-flag',
      `is ${asked}, and the adapter ${dir} that is trained on has ${[...new Set(found)].join(', ')}; leave the flag out, or merge the adapter first (attune merge) and begin a new one`,
      { flag },
    )
  const ranks = [...targets.values()].map(({ r }) => r)
  const alphas = [...targets.values()].map(({ alpha }) => alpha)
  if (loraR !== undefined && ranks.some((r) => r !== loraR)) throw refuse('--lora-r', loraR, ranks)
  if (loraAlpha !== undefined && alphas.some((alpha) => alpha !== loraAlpha))
    throw refuse('--lora-alpha', loraAlpha, alphas)
  if (useDora && !dora) throw refuse('--use-dora', 'given', ['no magnitudes'])
  if (loraTarget === undefined) return
  const asked = newAdapter({ r: 1, ...loraOf(settings) }, architecture, config, seed).targets
  if (asked.size === targets.size && [...asked.keys()].every((module) => targets.has(module))) return
  const names = [...targets.keys()].map((module) => module.slice(module.lastIndexOf('.') + 1))
  throw refuse('--lora-target', loraTarget.join(','), names)
}

/** A reward model has no language head that an adapter could change. */
const refuseHeadAdapter = ({ architecture }: Base, { targets, saved }: Adapter, file: string) => {
  if (architecture.scores !== 'alone' || !(targets.has(moduleOf(headWeight)) || saved.includes(headWeight))) return
  const advice = 'merge it into the model first (attune merge), or give another adapter'
  throw badInput('wrong-adapter', `changes lm_head, which a reward model does not have; ${advice}`, { file })
}

/** The score head is trained and saved whole beside the adapter, beginning with the base model's. */
const withSavedHead = ({ architecture, params }: Base, adapter: Adapter): Adapter =>
  architecture.scores && !adapter.saved.includes(scoreWeight)
    ? {
        ...adapter,
        params: new Map(adapter.params).set(scoreWeight, params.get(scoreWeight)!),
        saved: [...adapter.saved, scoreWeight],
      }
    : adapter

type Tensors = ReadonlyMap<string, StoredTensor>

/** What the arenas hold, by the names of what is trained. */
export const entriesOf = (trainable: Tensors) =>
  [...trainable].map(([name, { shape }]) => ({ name, shape, decays: decays(name) }))

/**
 * Puts trainable parameters in arenas in the order of the blocks, and frozen ones on the engine one by one.
 * @param whole all parameters are trained, and 8-bit products are computed from codes beside their values
 */
const placeWeights = async (
  backend: Backend,
  settings: PolicySettings,
  base: Base,
  trainable: Tensors,
  {
    whole,
    calibration,
    onTensor = () => {},
  }: { whole: boolean; calibration: readonly number[]; onTensor: PolicyOptions['onTensor'] },
) => {
  const total = base.params.size
  const frozen = new Map([...base.params].filter(([name]) => !trainable.has(name)))
  const method = optimizer(settings.optimizer, { weightDecay: settings.weightDecay })
  const arenas = makeArenas(backend, entriesOf(trainable), method.state)
  const views = viewsOf(backend, arenas, 'params')
  // Those that get codes are done when they have them
  const coded = whole && settings.compute !== 'fp32' ? linearWeights(base.architecture, base.config) : new Set<string>()
  let filled = 0
  for (const [name, tensor] of trainable) {
    backend.write(views.get(name)!, (await tensor.floats()).slice())
    if (!coded.has(name)) onTensor(++filled, total)
  }
  const placed = await putQuantized(backend, base, frozen, {
    format: settings.quantize,
    compute: settings.compute,
    back: true,
    exact: whole ? [] : trainable.keys(),
    trained: views,
    calibration,
    onTensor: (done) => onTensor(filled + done, total),
  })
  const trained = countParameters(trainable.values())
  return {
    params: new Map([...placed.params, ...views]),
    quantized: placed.quantized,
    int8: placed.int8,
    arenas,
    gradients: viewsOf(backend, arenas, 'grads'),
    updater: makeUpdater(backend, arenas, method),
    shard: trained <= mostSharedParameters ? makeShardGradient(backend, arenas) : undefined,
    counts: { parameters: countParameters(frozen.values()) + trained, trainable: trained },
  }
}

/** Puts a checkpoint's arrays into the arenas. @param valueModel whose arenas are among the policy's */
export const restorePolicy = async (
  { model, backend, arenas }: Pick<Policy, 'model' | 'backend' | 'arenas'>,
  file: Parameters<typeof restoreState>[2],
  valueModel?: Model,
) => {
  await restoreState(backend, arenas, file)
  renewInt8(model)
  if (valueModel) renewInt8(valueModel)
}

/** The part of the free memory that activations kept for the backward pass may take. */
const activationShare = 0.4

/**
 * The memory plan: as asked, or with `auto` the fastest that fits into the free memory.
 * @param sizes of the largest micro-batch: tokens, sequences, tokens of the longest one
 * @param beside another model that is trained on the same batches
 */
export const planFor = (
  policy: Pick<Policy, 'model' | 'gradients'>,
  memory: PolicySettings['memory'],
  sizes: { N: number; B: number; T: number },
  beside: Pick<Policy, 'model' | 'gradients'> = policy,
): Plan => {
  if (memory !== 'auto') return memory
  const free = process.availableMemory?.() ?? freemem()
  // The models take turns in the same memory
  const kept = [policy, beside].map(({ model, gradients }) => keptBytes(model, 'fast', gradients, sizes))
  return Math.max(...kept) < activationShare * free ? 'fast' : 'low'
}

/**
 * Whether the policy without its adapter is the reference model, at any time. Otherwise the reference is what the policy was
 * before training: in full fine-tuning, and with adapters that were trained before or that replace whole modules (but for a value
 * head, which no log-probability depends on).
 */
export const hasLiveReference = ({ adapter, freshAdapter }: Policy): boolean =>
  adapter !== undefined && freshAdapter && adapter.saved.every((name) => name === scoreWeight)

/** The reference model as long as the policy is not trained yet, or at any time where `hasLiveReference`. */
export const referenceModel = (policy: Policy): Model =>
  hasLiveReference(policy) ? withoutAdapter(policy.model) : policy.model
