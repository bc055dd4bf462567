/**
 * Policies compared: all answer the same held-out prompts by the same random numbers, every judge marks every answer, and
 * the statistics say what can be concluded. Peculiar: everything slow is a file before the statistics begin, so another
 * judge or another policy in the same folder costs only what is new.
 */

import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { promptText } from '../../data/prompts.ts'
import { claimFolder, foreignFault } from '../../report/files.node.ts'
import { takeLock } from '../../runs/lock.node.ts'
import { sampledOf } from './collect.ts'
import { type AnswerSet, answerSet, type Work, type WorkEvent } from './completions.ts'
import { findingsOf, type JudgeMaterial, type Material, type Sampled } from './findings.ts'
import { type Judge, openJudges } from './judges.ts'
import { type ReportFiles, writeReport } from './output.ts'
import { type ComparedPolicy, openPolicyRuns, openSft, type PolicyRuns, refuseTwins } from './policies.ts'
import { promptsFor, type Warning } from './prompts.ts'
import type { CompareSettings } from './settings.ts'

export type CompareEvent =
  | { event: 'plan'; policies: string[]; judges: JudgeMaterial[]; prompts: number; models: number; output: string }
  | WorkEvent
  | Warning
  | { event: 'stopped'; output: string }
  | { event: 'result'; words: string[]; files: ReportFiles }

type Extras = { signal?: AbortSignal; command?: readonly string[] }

/** Makes what is missing and reports. After an abort the last event is `stopped`. */
export async function* compare(
  settings: CompareSettings,
  { signal = new AbortController().signal, command = [] }: Extras = {},
): AsyncGenerator<CompareEvent> {
  const root = resolve(settings.output)
  const work: Work = { root, settings, signal }
  const sft = await openSft(settings.sft)
  const policies = await Promise.all(
    settings.policies.map((text) => openPolicyRuns(text, sft.folders, settings.checkpoints)),
  )
  refuseTwins(sft.subject, policies)
  const judges = await openJudges(settings, sft.subject, policies)
  const stops = policies.flatMap(({ runs }) => runs.flatMap((run) => run.stops))
  const { prompts, warnings } = await promptsFor(settings, [sft.subject, ...stops], judges)
  const unlock = await claim(root)
  try {
    const names = policies.map(({ name }) => name)
    const shown = judges.map(({ name, trained }) => ({ name, trained }))
    const count = prompts.get(sft.subject.promptKey)!.length
    yield { event: 'plan', policies: names, judges: shown, prompts: count, models: 1 + stops.length, output: root }
    const idsOf = ({ promptKey }: ComparedPolicy) => JSON.stringify(prompts.get(promptKey)!.map(({ ids }) => ids))
    const own = idsOf(sft.subject)
    /** Whether it reads every prompt as the SFT policy does, so that it has a distance from it. */
    const alike = (each: ComparedPolicy) => each.tokenizerKey === sft.subject.tokenizerKey && idsOf(each) === own
    const others = stops.filter((each) => each.name === 'end' && !alike(each))
    warnings.push(...odditiesOf(judges, others))
    yield* warnings
    const sets = [sft.subject, ...stops].map((each) =>
      answerSet(work, each, prompts.get(each.promptKey)!, each !== sft.subject && alike(each)),
    )
    const sampled = yield* sampledOf(sets, judges, work)
    if (!sampled) return yield { event: 'stopped', output: root }
    const material = materialOf(sft.subject, policies, judges, sampled, settings)
    const examples = examplesOf(material, sets[0])
    const texts = warnings.map(({ message }) => message)
    const written = await writeReport(root, {
      findings: findingsOf(material),
      warnings: texts,
      examples,
      settings,
      command,
    })
    yield { event: 'result', ...written }
  } finally {
    for (const judge of judges) await judge.close()
    await unlock()
  }
}

const parts = /^(answers|logps|scores|plots|report\.html|findings\.json|run\.lock.*)$/

/** Takes the folder. Throws Faults 'taken' for one that holds something else, 'locked' while another writes it. */
const claim = (root: string): Promise<() => Promise<void>> =>
  claimFolder(root, async () => {
    const foreign = (await readdir(root)).find((name) => !parts.test(name.replace(/\.tmp$/, '')))
    if (foreign) throw foreignFault(root, foreign, 'no comparison')
    return takeLock(root)
  })

/** What a reader has to know beside the numbers. */
const odditiesOf = (judges: readonly Judge[], others: readonly ComparedPolicy[]): Warning[] => {
  const known = judges.filter(({ third, trained }) => third && trained.length)
  return [
    ...judges.flatMap(({ warnings }) => warnings),
    ...(others.length
      ? [
          {
            code: 'other-tokenizer',
            message: `${others.map(({ title }) => title).join(', ')}: the tokenizer or the chat template is not the SFT policy's, so prompts are tokenised anew and there is no KL from it.`,
          },
        ]
      : []),
    ...known.map(({ name, trained }) => ({
      code: 'judge-not-third',
      message: `${name} was given as a judge that trained nobody, but ${trained.join(' and ')} learned from it; it counts as their own reward.`,
    })),
  ].map((each) => ({ event: 'warning' as const, ...each }))
}

const materialOf = (
  sft: ComparedPolicy,
  policies: readonly PolicyRuns[],
  judges: readonly Judge[],
  sampled: ReadonlyMap<ComparedPolicy, Sampled>,
  { seed }: CompareSettings,
): Material => ({
  seed,
  sft: { ...sampled.get(sft)!, name: sft.title },
  policies: policies.map(({ name, runs }) => ({
    name,
    runs: runs.map(({ stops }) => stops.map((stop) => sampled.get(stop)!)),
  })),
  judges: judges.map(({ name, trained }) => ({ name, trained })),
})

const shownPrompts = 3

const examplesOf = ({ sft, policies }: Material, { subject, prompts }: AnswerSet) =>
  prompts.slice(0, shownPrompts).map(({ prompt }, i) => ({
    prompt: promptText(subject.tokenization, prompt),
    answers: [
      { policy: sft.name, text: sft.texts[i][0] },
      ...policies.map(({ name, runs }) => ({ policy: name, text: runs[0].at(-1)!.texts[i][0] })),
    ],
  }))
