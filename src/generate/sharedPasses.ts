/** Forward passes that workers compute: which model a shard names, and what a worker computes. */
import { type Model, withoutAdapter } from '../passes/model.ts'
import type { Pass, PassSharing } from '../passes/passSharing.ts'
import { readPass } from '../passes/readPasses.ts'
import { areFloats, type Shard, type Sharing } from '../util/sharing.ts'
import type { ModelMoment, PublishedMoment } from './sharedSampling.ts'

export type PassInput = ModelMoment & Pass & { adapter: boolean }

/** @param moment publishes the model as it is now */
export const sharePasses = (sharing: Sharing, moment: () => Promise<PublishedMoment>): PassSharing => ({
  workers: sharing.workers,
  async *results(passes, { adapter, lengths, local }) {
    const { of, files } = await moment()
    const shards = passes.map(
      (pass, i): Shard => ({
        kind: 'pass',
        input: { ...of, ...pass, adapter } satisfies PassInput,
        files,
        fits: (result) => areFloats(result, lengths(i)),
      }),
    )
    yield* sharing.results<Float32Array[]>(shards, local)
  },
})

/** What a worker computes. */
export const computePass = (model: Model, { adapter, ...pass }: PassInput): Promise<Float32Array[]> =>
  readPass(adapter ? model : withoutAdapter(model), pass)
