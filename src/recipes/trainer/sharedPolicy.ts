/**
 * The shards of a training run: gradients of its micro-batches, their loss in an evaluation, samples and passes of its policy. Here
 * is what the run gives out, and the functions that compute it, the same in this process and on a worker.
 *
 * A worker gets the files of the model once, and the trained parameters whenever they have changed.
 */
import { type PublishedFolders, publishFolders } from '../../generate/sharedModel.node.ts'
import { sharePasses } from '../../generate/sharedPasses.ts'
import {
  type ModelMoment,
  type PublishedMoment,
  type ShareSampling,
  shareSampling,
} from '../../generate/sharedSampling.ts'
import type { OptimizerName } from '../../optim/optimizers.ts'
import type { HeadSettings } from '../../passes/head.ts'
import { type Compute, renewInt8 } from '../../passes/int8.ts'
import type { PassSharing } from '../../passes/passSharing.ts'
import type { Quantize } from '../../passes/quantize.ts'
import type { Plan } from '../../passes/stack.ts'
import type { Backend } from '../../runtime/backend.ts'
import type { Arena } from '../../train/arena.ts'
import type { MicroBatch } from '../../train/micro.ts'
import {
  evalMetrics,
  type ShardResult,
  type ShareEvaluation,
  type ShareStep,
  shardResult,
  type Trainer,
} from '../../train/step.ts'
import { badInput } from '../../util/fault.ts'
import { pack, unpack } from '../../util/packed.ts'
import type { FileHash } from '../../util/sha256.node.ts'
import { areFloats, type Shard, type Sharing } from '../../util/sharing.ts'
import { isShareable, lossByName } from './lossByName.ts'

/** The settings that decide what the policy is and computes. */
export type SharedSettings = {
  loraR?: number
  loraAlpha?: number
  loraDropout: number
  loraTarget?: string[]
  useDora?: boolean
  quantize: Quantize
  compute: Compute
  optimizer: OptimizerName
  weightDecay: number
  seed: number
}

/** Heads that a worker gives a model itself: the value head of PPO's policy, and that of its value model. */
export const sharedHeads = ['value', 'value-model'] as const
export type SharedHead = (typeof sharedHeads)[number]

/** What is shared of a policy (policy.ts). */
export type SharedParts = Pick<Trainer, 'model' | 'gradients' | 'updater' | 'plan' | 'shard'> & {
  backend: Backend
  arenas: readonly Arena[]
  /** The folder of the base model, and of the adapter that the run began with. */
  dir: string
  adapterDir?: string
  /** Every file of the model and the adapter that results depend on. */
  files: FileHash[]
}

/** What a worker opens the policy by. */
export type SharedPolicy = PublishedFolders & { settings: SharedSettings; head?: SharedHead }

export type GradientInput = ModelMoment & {
  batch: Omit<MicroBatch, 'own' | 'teacher'>
  loss: string
  head: HeadSettings
  plan: Plan
  seed: number
}

export type EvaluationInput = Omit<GradientInput, 'plan' | 'seed'>

// What a run gives out

/** How a policy's work is shared out. */
export type PolicySharing = {
  step(trainer: Pick<Trainer, 'loss' | 'head'>): ShareStep
  /** Undefined for a loss that workers cannot compute. @param signal ends it early, without results */
  evaluation(trainer: Pick<Trainer, 'loss' | 'head'>, signal?: AbortSignal): ShareEvaluation | undefined
  sampling: ShareSampling
  passes: PassSharing
  /** Passes of the policy as it is now, whatever becomes of it. */
  frozenPasses(): Promise<PassSharing>
}

export const sharePolicy = (
  policy: SharedParts,
  settings: SharedSettings,
  sharing: Sharing,
  head?: SharedHead,
): PolicySharing => {
  const publish = async () => {
    const { folders, hashes } = await publishFolders(
      sharing,
      policy,
      policy.files.map(({ absolute }) => absolute),
    )
    const model = await sharing.publish(
      pack({ ...folders, settings: sharedSettings(settings), head } satisfies SharedPolicy),
    )
    return { model, files: [model, ...hashes] }
  }
  let published: ReturnType<typeof publish> | undefined
  const at = async (params: string): Promise<PublishedMoment> => {
    published ??= publish()
    const { model, files } = await published
    return { of: { model, params }, files: [...files, params] }
  }
  const publishParams = async () =>
    sharing.publish(pack(await Promise.all(policy.arenas.map((arena) => policy.backend.read(arena.params)))))
  let params: string | undefined
  const frozen = new Set<string>()

  /** Publishes the parameters as they are now, in place of earlier ones. */
  const moment = async (): Promise<PublishedMoment> => {
    const now = await publishParams()
    if (params !== undefined && params !== now && !frozen.has(params)) sharing.withdraw([params])
    params = now
    return at(now)
  }

  return {
    step:
      ({ loss, head }) =>
      async (batches, seeds, local) => {
        const isPlain = isShareable(loss) && batches.every(({ own, teacher }) => !own && !teacher)
        if (!isPlain || !policy.shard || sharing.workers() === 0) return undefined
        const { of, files } = await moment()
        const { plan } = policy
        const sizes = policy.arenas.map(({ size }) => size)
        const shards = batches.map(
          (batch, i): Shard => ({
            kind: 'gradient',
            input: { ...of, batch, loss: loss.name, head, plan, seed: seeds[i] } satisfies GradientInput,
            files,
            fits: (result) => {
              const { gradient, metrics } = Object(result) as Partial<ShardResult>
              return areFloats(gradient, sizes) && areMetrics(metrics)
            },
          }),
        )
        return sharing.results<ShardResult>(shards, local)
      },
    evaluation: ({ loss, head }, signal) =>
      isShareable(loss)
        ? {
            workers: sharing.workers,
            async *results(batches, local) {
              const { of, files } = await moment()
              const shards = batches.map((batch): Shard => {
                const input: EvaluationInput = { ...of, batch, loss: loss.name, head }
                return { kind: 'evaluation', input, files, fits: areMetrics }
              })
              try {
                yield* sharing.results<Metrics>(shards, local, signal)
              } catch (error) {
                if (!signal?.aborted) throw error
              }
            },
          }
        : undefined,
    sampling: shareSampling(sharing, moment),
    passes: sharePasses(sharing, moment),
    async frozenPasses() {
      const now = await publishParams()
      frozen.add(now)
      return sharePasses(sharing, () => at(now))
    },
  }
}

type Metrics = Record<string, number>

const areMetrics = (result: unknown): boolean => {
  const metrics = Object(result)
  return 'loss' in metrics && Object.values(metrics).every((value) => typeof value === 'number')
}

const sharedSettings = (all: SharedSettings): SharedSettings => {
  const { loraR, loraAlpha, loraDropout, loraTarget, useDora, quantize, compute, optimizer, weightDecay, seed } = all
  return { loraR, loraAlpha, loraDropout, loraTarget, useDora, quantize, compute, optimizer, weightDecay, seed }
}

// What a worker computes

/** Sets the trained parameters of a policy. @param packed as they were published */
export const setParams = ({ model, backend, arenas }: SharedParts, packed: Uint8Array): void => {
  const values = unpack(packed) as Float32Array[]
  if (values.length !== arenas.length || arenas.some(({ size }, i) => values[i].length !== size))
    throw badInput('bad-shard', 'its parameters are not those of its model')
  for (const [i, { params }] of arenas.entries()) backend.write(params, values[i])
  renewInt8(model)
}

export const computeGradient = (
  policy: SharedParts,
  { batch, loss, head, plan, seed }: GradientInput,
): Promise<ShardResult> =>
  shardResult({ ...policy, loss: lossByName(loss), head, plan, shard: policy.shard! }, batch, seed)

export const computeEvaluation = (
  { model }: Pick<SharedParts, 'model'>,
  { batch, loss, head }: EvaluationInput,
): Promise<Metrics> => evalMetrics({ model, loss: lossByName(loss), head }, batch)
