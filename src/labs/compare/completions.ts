/**
 * Completions, their log-probs and their rewards as files in the comparison's folder.
 *
 * A file is named by a hash of what determines its content: weights, prompts and sampling settings, and the judge. A later
 * comparison in the same folder therefore finds what exists, a stopped one continues, and a model is opened only for what
 * is missing. On disk the folder of completions is called `answers`.
 */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { PromptExample } from '../../data/prompts.ts'
import { type Rollout, sampleSchema } from '../../generate/completionSampler.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import { sharedScheduler } from '../../generate/sharedScheduler.ts'
import { sampleLogps } from '../../recipes/rl/logps.ts'
import { type RolloutSettings, rollOut, samplePath } from '../../recipes/rl/rollout.ts'
import { writeJson } from '../../report/files.node.ts'
import { type CompletionToScore, scoreRollout } from '../../rewards/rewards.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { openLines } from '../../store/lines.node.ts'
import type { Sharing } from '../../util/sharing.ts'
import type { Judge } from './judges.ts'
import { type ComparedPolicy, keyOf, type OpenedPolicy } from './policies.ts'
import type { CompareProgress, Progress } from './progress.ts'
import type { CompareSettings } from './settings.ts'

/** The completions of one policy. */
export type CompletionSet = {
  policy: ComparedPolicy
  /** Equal keys, equal completions. */
  key: string
  dir: string
  prompts: readonly PromptExample[]
  /** Whether KL(policy || base) can be estimated: the policy is another one, and tokenizes every prompt alike. */
  hasKl: boolean
}

/** What every step of a comparison needs: its folder, its settings, and the signal that stops it. */
export type CompareContext = { root: string; settings: CompareSettings; signal: AbortSignal; sharing?: Sharing }

export const completionSet = (
  { root, settings }: CompareContext,
  policy: ComparedPolicy,
  prompts: readonly PromptExample[],
  hasKl: boolean,
): CompletionSet => {
  const { samples, maxNewTokens, temperature, seed } = settings
  const encoded = prompts.map(({ prompt, ids }) => [prompt, ids])
  const key = keyOf([policy.key, encoded, samples, maxNewTokens, temperature, seed])
  return { policy, key, prompts, hasKl, dir: join(root, 'answers', key) }
}

const donePath = ({ dir }: CompletionSet) => join(dir, 'done.json')

const isDone = (set: CompletionSet) =>
  stat(donePath(set)).then(
    () => true,
    () => false,
  )

/** Sequences that are decoded at once, as in a rollout. */
const batchSize = 64

/**
 * Samples the completions that are missing, and where KL is estimated computes their log-probs under the policy itself.
 * The random numbers of a completion depend on seed, prompt and sample alone, so they are the same for every policy.
 * Undefined after an abort.
 */
export async function* complete(
  set: CompletionSet,
  progress: Progress,
  context: CompareContext,
): AsyncGenerator<CompareProgress, Rollout | undefined> {
  const { policy, hasKl } = set
  const { title } = policy
  let opened: OpenedPolicy | undefined
  const open = async () => (opened ??= await policy.open(context.settings, context.sharing))
  try {
    const rollout = yield* progress.part('generating', title, readOrSample(set, open, context))
    if (rollout && hasKl) yield* progress.part('log-probs', title, computeLogps(set, policy, rollout, open, context))
    return context.signal.aborted ? undefined : rollout
  } finally {
    await opened?.close()
  }
}

async function* readOrSample(
  set: CompletionSet,
  open: () => Promise<OpenedPolicy>,
  context: CompareContext,
): AsyncGenerator<ProgressEvent, Rollout | undefined> {
  return (await isDone(set)) ? await readCompletions(set, context) : yield* sample(set, await open(), context)
}

async function* sample(
  set: CompletionSet,
  { model, share }: OpenedPolicy,
  { settings, signal }: CompareContext,
): AsyncGenerator<ProgressEvent, Rollout | undefined> {
  const { prompts, dir } = set
  const { title, tokenization } = set.policy
  const own = openScheduler(model, tokenization.tokenizer, { batchSize })
  const scheduler = share ? sharedScheduler(own, share) : own
  try {
    const { samples, maxNewTokens, temperature, seed } = settings
    const sampler = { scheduler, tokenization, settings: rolloutSettings(settings), seed, dir, signal, withParts: true }
    yield { event: 'progress', phase: 'generate', done: 0, total: prompts.length * samples }
    const rollout = yield* rollOut(sampler, prompts)
    if (rollout)
      await writeJson(donePath(set), { of: title, prompts: prompts.length, samples, maxNewTokens, temperature, seed })
    return rollout
  } finally {
    await scheduler.close()
  }
}

const rolloutSettings = ({ seed, temperature, maxNewTokens, samples }: CompareSettings): RolloutSettings => ({
  seed,
  temperature,
  maxNewTokens,
  numGenerations: samples,
  topP: 1,
  minP: 0,
})

/** Reads completions that were sampled before. */
const readCompletions = async ({ dir, prompts }: CompletionSet, { settings }: CompareContext): Promise<Rollout> => {
  const total = prompts.length * settings.samples
  const file = await openLines(samplePath(dir), { schema: sampleSchema, total, group: 1 })
  try {
    const samples = []
    for (let i = 0; i < total; i++) samples.push(await file.read(i))
    return { prompts, samples, perPrompt: settings.samples }
  } finally {
    await file.close()
  }
}

/** Prompts whose log-probs are computed together. */
const promptsAtOnce = 16

const logpsPath = ({ key }: CompletionSet, by: ComparedPolicy, { root, settings }: CompareContext) =>
  join(root, 'logps', `${keyOf([key, by.key, settings.temperature])}.jsonl`)

/**
 * Computes the missing log-probs of all tokens of all completions under a policy, at the temperature of sampling.
 * @param open opens that policy's model and leaves it open; called only where log-probs are missing
 */
export async function* computeLogps(
  set: CompletionSet,
  by: ComparedPolicy,
  rollout: Rollout,
  open: () => Promise<OpenedPolicy>,
  context: CompareContext,
): AsyncGenerator<ProgressEvent> {
  const { settings, signal } = context
  const total = rollout.samples.length
  const file = await openLogps(set, by, context)
  const progress = (): ProgressEvent => ({ event: 'progress', phase: 'reference', done: file.length, total })
  try {
    if (file.length < total) yield progress()
    while (file.length < total && !signal.aborted) {
      const { model } = await open()
      const from = file.length / rollout.perPrompt
      const made = await sampleLogps(model, slice(rollout, from, from + promptsAtOnce), settings.temperature)
      await file.append(made.map((logps) => ({ logps })))
      yield progress()
    }
  } finally {
    await file.close()
  }
}

/** The completions of some of the prompts. */
const slice = ({ prompts, samples, perPrompt }: Rollout, from: number, to: number): Rollout => ({
  prompts: prompts.slice(from, to),
  samples: samples.slice(from * perPrompt, to * perPrompt),
  perPrompt,
})

const openLogps = (set: CompletionSet, by: ComparedPolicy, context: CompareContext) =>
  openLines(logpsPath(set, by, context), {
    schema: z.object({ logps: z.array(z.number()) }),
    total: set.prompts.length * context.settings.samples,
    group: promptsAtOnce * context.settings.samples,
  })

/** Reads the log-probs of all completions under a policy. @returns for each completion those of its tokens, in nats */
export const readLogps = async (
  set: CompletionSet,
  by: ComparedPolicy,
  context: CompareContext,
): Promise<number[][]> => {
  const file = await openLogps(set, by, context)
  try {
    const all: number[][] = []
    for (let i = 0; i < file.length; i++) all.push((await file.read(i)).logps)
    return all
  } finally {
    await file.close()
  }
}

/**
 * Rewards of all completions by a judge, which is asked only for those that are missing. Undefined after an abort.
 * @param sft the base model's completions, with which a judge that compares compares those at the same places
 */
export async function* scoreCompletions(
  set: CompletionSet,
  judge: Judge,
  rollout: Rollout,
  sft: { key: string; rollout: Rollout },
  { root, signal }: CompareContext,
): AsyncGenerator<ProgressEvent, number[] | undefined> {
  const dir = join(root, 'scores', keyOf([set.key, judge.key, ...(judge.compares ? [sft.key] : [])]))
  await mkdir(dir, { recursive: true })
  const { name } = judge
  const others = new Map(rollout.samples.map((sample, i) => [sample, sft.rollout.samples[i].text ?? '']))
  const source = {
    name,
    weight: 1,
    score: (completions: readonly CompletionToScore[]) =>
      judge.score(
        completions,
        set.policy,
        completions.map(({ sample }) => others.get(sample)!),
      ),
  }
  const rewards = { sources: [source], files: [], warnings: [] }
  yield { event: 'progress', phase: 'reward', done: 0, total: rollout.samples.length }
  const scored = yield* scoreRollout(rewards, rollout, { dir, signal })
  return scored?.rewards
}
