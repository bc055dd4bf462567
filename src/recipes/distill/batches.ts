/**
 * The batches of a distillation: completions of the data, or sampled by the student as it is now (on-policy) or by the teacher;
 * and what the teacher says of their tokens. What is made at a place in the order of rows depends on the place, the seed and the
 * weights alone, so a resumed run makes the same again.
 */
import { pack, packs, type Tree } from '../../data/batch.ts'
import { samplingSeed } from '../../generate/completionSampler.ts'
import { completions } from '../../generate/completions.ts'
import type { Scheduler } from '../../generate/scheduler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { MicroBatch, Teacher } from '../../train/micro.ts'
import { rng } from '../../util/rng.ts'
import { floats } from '../trainer/collate.ts'
import type { BatchPlace } from '../trainer/trainer.ts'
import type { DistillExample } from './examples.ts'
import { namedArrays } from './serverTeacher.ts'
import type { DistillTeacher } from './teacher.ts'

export type SamplingSettings = {
  lmbda: number
  seqKd: boolean
  temperature: number
  seed: number
  batchSize: number
}

export type DistillContext = {
  settings: SamplingSettings
  tokenization: Tokenization
  teacher: DistillTeacher
  /** Decodes with the student's weights of the moment. */
  student: Scheduler
  /** Of a local teacher that samples (--seq-kd). */
  teacherSampler?: Scheduler
  /** The data has no completions. */
  promptsOnly: boolean
}

/** Whose completion a batch learns on. */
type Source = 'data' | 'student' | 'teacher'

// Random streams of a place: one each for the samples of the student and of the teacher, and one for the draw between them
const purposes = { student: 1, teacher: 2, held: 3 }
const drawn = 16

/** The source of the batches at a place: each is on-policy with probability lmbda, as in TRL. */
const sourceOf = ({ settings, promptsOnly }: DistillContext, { position, held }: BatchPlace, batch: number): Source => {
  const { lmbda, seqKd, seed } = settings
  // Held-out rows are compared from one evaluation to the next, so they stay the same where they can
  if (held) return promptsOnly ? 'student' : 'data'
  const isOwn = lmbda === 1 || rng(samplingSeed('distill', seed, position, drawn), batch).uniform(0) < lmbda
  return isOwn ? 'student' : seqKd ? 'teacher' : 'data'
}

/** Samples a completion of each example's prompt, an end token included. */
const sampled = async (
  scheduler: Scheduler,
  { settings: { temperature }, tokenization: { eosIds } }: DistillContext,
  examples: readonly DistillExample[],
  seed: number,
  promptOf: (example: DistillExample) => number[],
): Promise<DistillExample[]> => {
  // All requests are submitted before the first step, so that they join the batch in the same order every time
  const requests = examples.map((example, row) => {
    const options = { temperature, maxNewTokens: example.room, seed, eosIds }
    return completions(scheduler.submit({ prompt: promptOf(example), options, row }))
  })
  return Promise.all(
    requests.map(async (request, i) => {
      const { value } = await request.next()
      return { ...examples[i], completion: value!.ids }
    }),
  )
}

/** The examples of a step with the completions that they learn on, micro-batch by micro-batch. */
const withCompletions = async (
  context: DistillContext,
  microBatches: readonly DistillExample[][],
  place: BatchPlace,
): Promise<{ examples: DistillExample[]; source: Source }[]> => {
  const { settings, student, teacherSampler } = context
  let before = 0
  const sources = microBatches.map((examples) => {
    const source = sourceOf(context, place, Math.floor(before / settings.batchSize))
    before += examples.length
    return source
  })
  const seedFor = (purpose: keyof typeof purposes) =>
    samplingSeed('distill', settings.seed, place.position, purposes[purpose])
  const samplers: Record<Source, ((examples: DistillExample[]) => Promise<DistillExample[]>) | undefined> = {
    data: undefined,
    student: (examples) =>
      sampled(student, context, examples, seedFor(place.held ? 'held' : 'student'), ({ prompt }) => prompt),
    teacher: (examples) =>
      sampled(
        teacherSampler!,
        context,
        examples,
        seedFor('teacher'),
        ({ prompt, teacherPrompt }) => teacherPrompt ?? prompt,
      ),
  }
  const made = microBatches.map((examples) => [...examples])
  for (const source of ['student', 'teacher'] as const) {
    const at = sources.flatMap((each, i) => (each === source ? [i] : []))
    if (at.length === 0) continue
    const all = await samplers[source]!(at.flatMap((i) => microBatches[i]))
    for (const i of at) made[i] = all.splice(0, microBatches[i].length)
  }
  return made.map((examples, i) => ({ examples, source: sources[i] }))
}

const treeOf = ({ prompt, completion }: DistillExample): Tree => ({ trunk: prompt, branches: [completion] })
const teacherTree = ({ prompt, teacherPrompt, completion }: DistillExample): Tree => ({
  trunk: teacherPrompt ?? prompt,
  branches: [completion],
})

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
const targetCount = (examples: readonly DistillExample[]) => sum(examples.map(({ completion }) => completion.length))

/** Trees of the packed batches in their order: with one branch each, a target's sequence is its tree. */
const treesOf = ({ targets }: ReturnType<typeof pack>) => [...new Set(Array.from(targets.sequence))]

const teacherOf = async (
  { teacher, tokenization }: DistillContext,
  examples: readonly DistillExample[],
  packed: ReturnType<typeof packs>,
): Promise<Teacher> => {
  if ('named' in teacher) {
    const told = await teacher.named(
      examples.map(({ prompt, teacherPrompt, completion }) => ({ prompt: teacherPrompt ?? prompt, completion })),
    )
    return namedArrays(
      packed.flatMap((batch) => treesOf(batch).flatMap((g) => told[g])),
      tokenization.vocabulary,
    )
  }
  const { model } = teacher
  if (!examples.some(({ teacherPrompt }) => teacherPrompt)) return { model, packs: packed }
  const trees = examples.map(teacherTree)
  return {
    model,
    packs: packed.map((batch) => {
      const number = treesOf(batch)
      return pack(
        number.map((g) => trees[g]),
        1,
        { number, total: trees.length },
      )
    }),
  }
}

/** How examples become micro-batches, and how many tokens the examples of the last step came to. */
export const distillBatches = (context: DistillContext) => {
  let lengths = new WeakMap<DistillExample, number>()
  return {
    numTokens: (example: DistillExample) => lengths.get(example) ?? 0,
    async collate(microBatches: DistillExample[][], place: BatchPlace): Promise<MicroBatch[]> {
      const made = await withCompletions(context, microBatches, place)
      lengths = new WeakMap(
        made.flatMap(({ examples }, i) =>
          examples.map(({ prompt, completion }, j) => [microBatches[i][j], prompt.length + completion.length]),
        ),
      )
      const numItems = floats([sum(made.map(({ examples }) => targetCount(examples)))], [])
      const batches: MicroBatch[] = []
      for (const { examples, source } of made) {
        const packed = packs(examples.map(treeOf), 1)
        const logged = (value: number) => floats([place.held ? Number.NaN : value], [])
        batches.push({
          packs: packed,
          arrays: {
            numItems,
            onPolicy: logged(Number(source === 'student')),
            completionLength: logged(targetCount(examples) / examples.length),
          },
          weight: targetCount(examples),
          teacher: await teacherOf(context, examples, packed),
        })
      }
      return batches
    },
  }
}
