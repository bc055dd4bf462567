/**
 * Answers, their log-probs and their rewards as files in the comparison's folder. Peculiar: a folder is named after what
 * is in it (weights, prompts, sampling; the judge), so whatever was made once is found again by any later comparison in
 * the same folder, a stopped one goes on where it was, and models are opened only for what is missing.
 */

import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { PromptExample } from '../../data/prompts.ts'
import { type Rollout, sampleSchema } from '../../generate/completionSampler.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import { sampleLogps } from '../../recipes/rl/logps.ts'
import { type RolloutSettings, rollOut, samplePath } from '../../recipes/rl/rollout.ts'
import { writeJson } from '../../report/files.node.ts'
import { type CompletionToScore, scoreRollout } from '../../rewards/rewards.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { openLines } from '../../store/lines.node.ts'
import { tagged } from '../../util/eventStream.ts'
import type { Judge } from './judges.ts'
import { type ComparedPolicy, keyOf, type OpenedPolicy } from './policies.ts'
import type { CompareSettings } from './settings.ts'

/** Who works, and how far it is. */
export type WorkEvent = ProgressEvent & { of: string }

export type AnswerSet = {
  subject: ComparedPolicy
  key: string
  dir: string
  prompts: readonly PromptExample[]
  /** Its distance from the SFT policy can be known. */
  measured: boolean
}

export type Work = { root: string; settings: CompareSettings; signal: AbortSignal }

export const answerSet = (
  { root, settings }: Work,
  subject: ComparedPolicy,
  prompts: readonly PromptExample[],
  measured: boolean,
): AnswerSet => {
  const { samples, maxNewTokens, temperature, seed } = settings
  const asked = prompts.map(({ prompt, ids }) => [prompt, ids])
  const key = keyOf([subject.key, asked, samples, maxNewTokens, temperature, seed])
  return { subject, key, prompts, measured, dir: join(root, 'answers', key) }
}

const donePath = ({ dir }: AnswerSet) => join(dir, 'done.json')

const isDone = (set: AnswerSet) =>
  stat(donePath(set)).then(
    () => true,
    () => false,
  )

/** Sequences decoded at once, as in a rollout. */
const batchSize = 64

/**
 * Makes the answers that are missing, and what the model itself thinks of them where that is wanted. The random numbers of
 * an answer depend on seed, prompt and sample alone: they are the same for every policy. Undefined after an abort.
 */
export async function* answer(set: AnswerSet, work: Work): AsyncGenerator<WorkEvent, Rollout | undefined> {
  const { subject, measured } = set
  let opened: OpenedPolicy | undefined
  const open = async () => (opened ??= await subject.open(work.settings))
  try {
    const rollout = (await isDone(set)) ? await readAnswers(set, work) : yield* sample(set, await open(), work)
    if (rollout && measured) yield* logps(set, subject, rollout, open, work)
    return work.signal.aborted ? undefined : rollout
  } finally {
    await opened?.close()
  }
}

async function* sample(
  set: AnswerSet,
  { model }: OpenedPolicy,
  { settings, signal }: Work,
): AsyncGenerator<WorkEvent, Rollout | undefined> {
  const { prompts, dir } = set
  const { title, tokenization } = set.subject
  const scheduler = openScheduler(model, tokenization.tokenizer, { batchSize })
  try {
    const rolling = { scheduler, tokenization, settings: rolloutSettings(settings), seed: settings.seed, dir, signal }
    const rollout = yield* tagged({ of: title }, rollOut(rolling, prompts))
    const { samples, maxNewTokens, temperature, seed } = settings
    if (rollout)
      await writeJson(donePath(set), { of: title, prompts: prompts.length, samples, maxNewTokens, temperature, seed })
    return rollout
  } finally {
    await scheduler.close()
  }
}

const rolloutSettings = ({ seed, temperature, maxNewTokens, samples }: CompareSettings): RolloutSettings => ({
  ...{ seed, temperature, maxNewTokens, numGenerations: samples, topP: 1, minP: 0 },
})

/** Answers that are there. */
const readAnswers = async ({ dir, prompts }: AnswerSet, { settings }: Work): Promise<Rollout> => {
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

/** Prompts whose log-probs are worked out together. */
const group = 16

const logpsPath = ({ key }: AnswerSet, by: ComparedPolicy, { root, settings }: Work) =>
  join(root, 'logps', `${keyOf([key, by.key, settings.temperature])}.jsonl`)

/**
 * Log-probs of all tokens of all answers under a model, at the temperature of the answers; those that are missing.
 * @param open the model, which stays open; called if any are
 */
export async function* logps(
  set: AnswerSet,
  by: ComparedPolicy,
  rollout: Rollout,
  open: () => Promise<OpenedPolicy>,
  work: Work,
): AsyncGenerator<WorkEvent> {
  const { settings, signal } = work
  const total = rollout.samples.length
  const file = await openLogps(set, by, work)
  try {
    while (file.length < total && !signal.aborted) {
      const { model } = await open()
      const from = file.length / rollout.perPrompt
      const made = await sampleLogps(model, slice(rollout, from, from + group), settings.temperature)
      await file.append(made.map((logps) => ({ logps })))
      yield { event: 'progress', phase: 'reference', of: set.subject.title, done: file.length, total }
    }
  } finally {
    await file.close()
  }
}

const slice = ({ prompts, samples, perPrompt }: Rollout, from: number, to: number): Rollout => ({
  ...{ prompts: prompts.slice(from, to), samples: samples.slice(from * perPrompt, to * perPrompt), perPrompt },
})

const openLogps = (set: AnswerSet, by: ComparedPolicy, work: Work) =>
  openLines(logpsPath(set, by, work), {
    schema: z.object({ logps: z.array(z.number()) }),
    total: set.prompts.length * work.settings.samples,
    group: group * work.settings.samples,
  })

/** Log-probs that are there. */
export const readLogps = async (set: AnswerSet, by: ComparedPolicy, work: Work): Promise<number[][]> => {
  const file = await openLogps(set, by, work)
  try {
    const all: number[][] = []
    for (let i = 0; i < file.length; i++) all.push((await file.read(i)).logps)
    return all
  } finally {
    await file.close()
  }
}

/** @param judge its `of` is called for answers without a reward alone. Undefined after an abort. */
export async function* judgeAnswers(
  set: AnswerSet,
  judge: Judge,
  rollout: Rollout,
  { root, signal }: Work,
): AsyncGenerator<WorkEvent, number[] | undefined> {
  const dir = join(root, 'scores', keyOf([set.key, judge.key]))
  await mkdir(dir, { recursive: true })
  const { name } = judge
  const source = { name, weight: 1, score: (answers: readonly CompletionToScore[]) => judge.of(answers, set.subject) }
  const rewards = { sources: [source], files: [], warnings: [] }
  const scored = yield* tagged(
    { of: `${set.subject.title} by ${name}` },
    scoreRollout(rewards, rollout, { dir, signal }),
  )
  return scored?.rewards
}
