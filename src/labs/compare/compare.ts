/**
 * `attune compare`: which of several policies completes held-out prompts better, according to which judge. All policies
 * complete the same prompts with the same random numbers, every judge scores every completion, and the statistics say
 * what can be concluded.
 *
 * Completions, log-probs and rewards are files before the statistics begin. Another judge or another policy in the same
 * folder computes only what is missing.
 */

import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type PromptExample, promptText } from '../../data/prompts.ts'
import { claimFolder, foreignFault } from '../../report/files.node.ts'
import type { ProgramFunctions } from '../../rewards/rewards.ts'
import { trainedWithChat } from '../../runs/find.node.ts'
import { takeLock } from '../../runs/lock.node.ts'
import { isTemporary } from '../../util/files.node.ts'
import { listed } from '../../util/format.ts'
import type { Sharing } from '../../util/sharing.ts'
import { collectCompletions } from './collect.ts'
import { type CompareContext, completionSet } from './completions.ts'
import { type ComparisonData, findingsOf, type JudgeInfo, type ScoredCompletions } from './findings.ts'
import { type Judge, openJudges } from './judges.ts'
import { type ReportFiles, writeComparison } from './output.ts'
import { type ComparedPolicy, openBase, openPolicyRuns, type PolicyRuns, refuseDuplicates } from './policies.ts'
import type { CompareProgress } from './progress.ts'
import { readPrompts, type Warning } from './prompts.ts'
import { baseOf, type CompareSettings } from './settings.ts'
import { type Learner, rewardsOf, runOf } from './trainedOn.ts'

export type CompareEvent =
  | {
      event: 'plan'
      /** The model before training. */
      base: string
      policies: string[]
      judges: JudgeInfo[]
      prompts: number
      /** In how many clusters these are, where --cluster names a column. */
      clusters?: number
      /** How many models complete the prompts, with the one before training and the checkpoints. */
      models: number
      /** Of them, those that runs kept before their end. */
      checkpoints: number
      output: string
    }
  | CompareProgress
  | Warning
  | { event: 'stopped'; output: string }
  | { event: 'result'; words: string[]; files: ReportFiles }

type Extras = {
  signal?: AbortSignal
  command?: readonly string[]
  functions?: ProgramFunctions
  /** Workers that may compute with the models. */
  sharing?: Sharing
}

/** Computes what is missing and writes the report. After an abort the last event is `stopped`. */
export async function* compare(
  settings: CompareSettings,
  { signal = new AbortController().signal, command = [], functions, sharing }: Extras = {},
): AsyncGenerator<CompareEvent> {
  const root = resolve(settings.output)
  const context: CompareContext = { root, settings, signal, sharing }
  const base = baseOf(settings)
  const sft = await openBase(base)
  const policies = await Promise.all(
    settings.policies.map((text) => openPolicyRuns(text, sft.folders, settings.checkpoints)),
  )
  refuseDuplicates(sft, policies)
  const judges = await openJudges({ ...settings, functions, sharing }, sft, await learnersOf(base, sft, policies))
  const chat = settings.chat ?? (await readsChats(base, policies))
  const checkpoints = policies.flatMap(({ runs }) => runs.flatMap((run) => run.checkpoints))
  const { prompts, clusters, warnings } = await readPrompts({ ...settings, chat }, [sft, ...checkpoints], judges)
  const unlock = await claim(root)
  try {
    yield {
      event: 'plan',
      base: sft.title,
      policies: policies.map(({ name }) => name),
      judges: judges.map(({ name, trained }) => ({ name, trained })),
      prompts: prompts.get(sft.promptKey)!.length,
      ...(clusters && { clusters: new Set(clusters).size }),
      models: 1 + checkpoints.length,
      checkpoints: checkpoints.filter(({ name }) => name !== 'end').length,
      output: root,
    }
    const isComparable = tokenizesAs(sft, prompts)
    const incomparable = checkpoints.filter((policy) => policy.name === 'end' && !isComparable(policy))
    warnings.push(...comparisonWarnings(judges, incomparable, sft))
    if (settings.chat === undefined && chat) warnings.push(...chatWarnings(policies))
    yield* warnings
    const sets = [sft, ...checkpoints].map((policy) =>
      completionSet(context, policy, prompts.get(policy.promptKey)!, policy !== sft && isComparable(policy)),
    )
    const completions = yield* collectCompletions(sets, judges, context)
    if (!completions) return yield { event: 'stopped', output: root }
    const data = comparisonData({ sft, policies, judges, completions, clusters }, settings)
    const written = await writeComparison(root, {
      findings: findingsOf(data),
      warnings: warnings.map(({ message }) => message),
      examples: examplesOf(data, sft, sets[0].prompts),
      settings,
      command,
    })
    yield { event: 'result', ...written }
  } finally {
    for (const judge of judges) await judge.close()
    await unlock()
  }
}

/** All models that may have learned from a judge. The base model has, where its run says so. */
const learnersOf = async (base: string, sft: ComparedPolicy, policies: readonly PolicyRuns[]): Promise<Learner[]> => {
  const madeBy = await runOf(base)
  return [
    { name: sft.title, rewards: madeBy === undefined ? [] : await rewardsOf(madeBy) },
    ...policies.flatMap(({ name, runs }) => runs.map(({ rewards }) => ({ name, rewards }))),
  ]
}

/** Whether the base model or one of the others is a run that was trained with --chat. */
const readsChats = async (base: string, policies: readonly PolicyRuns[]): Promise<boolean> =>
  policies.some(({ runs }) => runs.some(({ chat }) => chat)) || (await trainedWithChat(base)) === true

/** One form of the prompts for all: a policy that was trained on another one is at a disadvantage. */
const chatWarnings = (policies: readonly PolicyRuns[]): Warning[] => {
  const [learned, without] = [true, false].map((wanted) =>
    policies.filter(({ runs }) => runs.some(({ learnedChats }) => learnedChats === wanted)).map(({ name }) => name),
  )
  if (!learned.length || !without.length) return []
  return [
    {
      event: 'warning',
      code: 'chat-differs',
      message: `${learned.join(' and ')} learned from chats, and ${without.join(' and ')} from plain rows. Plain prompts are given to all as a user's message; --no-chat gives them as they are.`,
    },
  ]
}

/** Whether a policy reads every prompt as the same tokens as the base model does: only then is there a KL between them. */
const tokenizesAs = (sft: ComparedPolicy, prompts: ReadonlyMap<string, readonly PromptExample[]>) => {
  const idsOf = ({ promptKey }: ComparedPolicy) => JSON.stringify(prompts.get(promptKey)!.map(({ ids }) => ids))
  const sftIds = idsOf(sft)
  return (policy: ComparedPolicy) => policy.tokenizerKey === sft.tokenizerKey && idsOf(policy) === sftIds
}

const ownFiles = /^(answers|logps|scores|plots|report\.html|findings\.json|run\.lock.*)$/

/** Takes the folder. Throws Faults 'taken' for one that holds something else, 'locked' while another process writes it. */
const claim = (root: string): Promise<() => Promise<void>> =>
  claimFolder(root, async () => {
    const foreign = (await readdir(root)).find(
      (name) => !isTemporary(name) && !ownFiles.test(name.replace(/\.tmp$/, '')),
    )
    if (foreign) throw foreignFault(root, foreign, 'no comparison')
    return takeLock(root)
  })

/** What a reader has to know beside the numbers. */
const comparisonWarnings = (
  judges: readonly Judge[],
  incomparable: readonly ComparedPolicy[],
  base: ComparedPolicy,
): Warning[] => {
  const warnings: Omit<Warning, 'event'>[] = judges.flatMap((judge) => judge.warnings)
  if (incomparable.length)
    warnings.push({
      code: 'other-tokenizer',
      message: `${incomparable.map(({ title }) => title).join(', ')}: the tokenizer or the chat template is not that of ${base.title}. The prompts are tokenized separately, and there is no KL from ${base.title}.`,
    })
  for (const { name, trained } of judges.filter((judge) => judge.independent && judge.trained.length))
    warnings.push({
      code: 'judge-not-third',
      message: `${name} was given as a judge that trained none of the models, but ${trained.join(' and ')} learned from it. It counts as their own reward.`,
    })
  for (const { name, assumed } of judges.filter(({ assumed }) => assumed.length))
    warnings.push({
      code: 'training-unknown',
      message: `${name} is given as --reward, and no run says what ${listed(assumed)} learned from. It counts as their own reward; give it as --judge if it was not.`,
    })
  return warnings.map((each) => ({ event: 'warning', ...each }))
}

const comparisonData = (
  {
    sft,
    policies,
    judges,
    completions,
    clusters,
  }: {
    sft: ComparedPolicy
    policies: readonly PolicyRuns[]
    judges: readonly Judge[]
    completions: ReadonlyMap<ComparedPolicy, ScoredCompletions>
    clusters: readonly string[] | undefined
  },
  { seed, cluster }: CompareSettings,
): ComparisonData => ({
  seed,
  sft: { ...completions.get(sft)!, name: sft.title },
  policies: policies.map(({ name, runs }) => ({
    name,
    runs: runs.map(({ checkpoints }) => checkpoints.map((checkpoint) => completions.get(checkpoint)!)),
  })),
  judges: judges.map(({ name, trained }) => ({ name, trained })),
  ...(clusters && { clusters: { column: cluster!, of: clusters } }),
})

const examplePrompts = 3

/** The first prompts, with the first completion of each policy. */
const examplesOf = (
  { sft, policies }: ComparisonData,
  { tokenization }: ComparedPolicy,
  prompts: readonly PromptExample[],
) =>
  prompts.slice(0, examplePrompts).map(({ prompt }, i) => ({
    prompt: promptText(tokenization, prompt),
    completions: [
      { policy: sft.name, text: sft.texts[i][0] },
      ...policies.map(({ name, runs }) => ({ policy: name, text: runs[0].at(-1)!.texts[i][0] })),
    ],
  }))
