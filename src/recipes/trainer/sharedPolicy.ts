/**
 * The shards of a training run: gradients of its micro-batches, samples of its policy, and log-probabilities of given tokens. Here
 * is what the run gives out, and the functions that compute it, the same in this process and on a worker.
 *
 * A worker gets the files of the model once, and the trained parameters whenever they have changed.
 */
import type { Tree } from '../../data/batch.ts'
import { type PublishedFolders, publishFolders } from '../../generate/sharedModel.node.ts'
import {
  evenParts,
  type ModelMoment,
  type PublishedMoment,
  type ShareSampling,
  shareSampling,
} from '../../generate/sharedSampling.ts'
import type { OptimizerName } from '../../optim/optimizers.ts'
import type { HeadSettings } from '../../passes/head.ts'
import { type Compute, renewInt8 } from '../../passes/int8.ts'
import { withoutAdapter } from '../../passes/model.ts'
import type { Quantize } from '../../passes/quantize.ts'
import type { Plan } from '../../passes/stack.ts'
import { readTokenStats } from '../../passes/tokenStats.ts'
import type { Backend } from '../../runtime/backend.ts'
import type { Arena } from '../../train/arena.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { type ShardResult, type ShareStep, shardResult, type Trainer } from '../../train/step.ts'
import { badInput } from '../../util/fault.ts'
import { pack, unpack } from '../../util/packed.ts'
import type { FileHash } from '../../util/sha256.node.ts'
import type { Shard, Sharing } from '../../util/sharing.ts'
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

/** Heads that a worker gives a model itself: the value head of PPO. */
export type SharedHead = 'value'

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

export type StatsInput = ModelMoment & {
  /** Without the adapter. */
  isReference: boolean
  trees: readonly Tree[]
}

// What a run gives out

/** How a policy's work is shared out. */
export type PolicySharing = {
  step(trainer: Pick<Trainer, 'loss' | 'head'>): ShareStep
  sampling: ShareSampling
  /** Log-probabilities of the branches of each tree, every tree a pass of its own. Undefined where there is no worker. */
  branchLogps(trees: readonly Tree[], local: (tree: Tree) => Promise<number[][]>): Promise<number[][][] | undefined>
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
  let params: string | undefined

  /** Publishes the parameters as they are now, in place of earlier ones. */
  const moment = async (): Promise<PublishedMoment> => {
    published ??= publish()
    const { model, files } = await published
    const values = await Promise.all(policy.arenas.map((arena) => policy.backend.read(arena.params)))
    const now = await sharing.publish(pack(values))
    if (params !== undefined && params !== now) sharing.withdraw([params])
    params = now
    return { of: { model, params: now }, files: [...files, now] }
  }

  return {
    step:
      ({ loss, head }) =>
      async (batches, seeds, local) => {
        const isPlain = isShareable(loss) && batches.every(({ own, teacher }) => !own && !teacher)
        if (!isPlain || !policy.shard || sharing.workers() === 0) return undefined
        const { of, files } = await moment()
        const { plan } = policy
        const shards = batches.map(
          (batch, i): Shard => ({
            kind: 'gradient',
            input: { ...of, batch, loss: loss.name, head, plan, seed: seeds[i] } satisfies GradientInput,
            files,
            fits: (result) => isGradient(result, policy.arenas),
          }),
        )
        return sharing.results<ShardResult>(shards, local)
      },
    sampling: shareSampling(sharing, moment),
    async branchLogps(trees, local) {
      const workers = sharing.workers()
      if (workers === 0 || trees.length < 2) return undefined
      const { of, files } = await moment()
      const parts = evenParts(trees, workers)
      const shards = parts.map((part): Shard => {
        const input: StatsInput = { ...of, isReference: true, trees: part.map(plainTree) }
        return { kind: 'stats', input, files, fits: (result) => isStats(result, part) }
      })
      const all: number[][][] = []
      const here = async (i: number) => {
        const values: number[][][] = []
        for (const tree of parts[i]) values.push(await local(tree))
        return values
      }
      for await (const part of sharing.results<number[][][]>(shards, here)) all.push(...part)
      return all
    },
  }
}

const isGradient = (result: unknown, arenas: readonly Arena[]): boolean => {
  const { gradient, metrics } = Object(result) as Partial<ShardResult>
  return (
    Array.isArray(gradient) &&
    gradient.length === arenas.length &&
    arenas.every(({ size }, i) => gradient[i] instanceof Float32Array && gradient[i].length === size) &&
    typeof metrics === 'object' &&
    Object.values(metrics).every((value) => typeof value === 'number')
  )
}

/** A number for each token of each branch. */
const isStats = (result: unknown, trees: readonly Tree[]): boolean =>
  Array.isArray(result) &&
  result.length === trees.length &&
  trees.every(
    ({ branches }, i) =>
      Array.isArray(result[i]) &&
      result[i].length === branches.length &&
      branches.every(
        (branch, j) =>
          Array.isArray(result[i][j]) &&
          result[i][j].length === branch.length &&
          result[i][j].every((value: unknown) => typeof value === 'number'),
      ),
  )

const plainTree = ({ trunk, branches }: Tree): Tree => ({
  trunk: Array.from(trunk),
  branches: branches.map((branch) => Array.from(branch)),
})

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

/** Log-probabilities [trees][branches][tokens], every tree a pass of its own. */
export const computeStats = async (
  { model }: Pick<SharedParts, 'model'>,
  { isReference, trees }: StatsInput,
): Promise<number[][][]> => {
  const of = isReference ? withoutAdapter(model) : model
  const all: number[][][] = []
  for (const tree of trees) all.push((await readTokenStats(of, [tree], ['logps'])).logps[0].branches)
  return all
}
