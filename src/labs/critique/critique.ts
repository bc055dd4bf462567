/**
 * `attune critique`: the two phases of Constitutional AI (arXiv 2212.08073). First a model responds, a critique under a drawn
 * principle follows, and the model revises; the last revisions are rows for SFT. Then, with `preferences`, pairs of the tuned
 * model's replies are compared under drawn principles, and the probabilities become soft labels.
 *
 * What models wrote is kept call by call, so a run that was stopped or killed continues.
 */
import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { readConstitution } from '../../feedback/constitution/shipped.node.ts'
import { claimFolder, foreignFault } from '../../report/files.node.ts'
import type { WarningEvent } from '../../runs/events.ts'
import { takeLock } from '../../runs/lock.node.ts'
import { badInput } from '../../util/fault.ts'
import { isTemporary } from '../../util/files.node.ts'
import { type CallProgress, openCalls } from './calls.ts'
import type { Phase, PhaseContext } from './context.ts'
import { openModels } from './models.ts'
import type { WrittenPhase } from './output.ts'
import { comparePairs } from './preferences.ts'
import { readConversations } from './prompts.ts'
import { reviseAll } from './revisions.ts'
import type { CritiqueSettings } from './settings.ts'

export type CritiqueEvent =
  | {
      event: 'plan'
      phase: Phase
      model: string
      judge: string
      prompts: number
      principles: number
      /** Of revisions, or pairs of each prompt. */
      rounds: number
      output: string
    }
  | CallProgress
  | WarningEvent
  | { event: 'stopped'; output: string }
  | ({ event: 'result'; phase: Phase } & WrittenPhase)

type Extras = { signal?: AbortSignal; command?: readonly string[] }

/**
 * Asks for what is missing and writes the rows and the report. After an abort the last event is `stopped`. Throws Faults of
 * the constitution, the data and the models, 'taken' and 'locked' for the folder, and 'bad-flag'.
 */
export async function* critique(
  settings: CritiqueSettings,
  { signal = new AbortController().signal, command = [] }: Extras = {},
): AsyncGenerator<CritiqueEvent> {
  const root = resolve(settings.output)
  const phase: Phase = settings.preferences ? 'preferences' : 'revisions'
  checkKept(settings)
  const constitution = await readConstitution(settings.constitution)
  const conversations = await readConversations(settings)
  const models = await openModels(settings)
  try {
    const unlock = await claim(root)
    try {
      yield {
        event: 'plan',
        phase,
        model: models.model.name,
        judge: models.judge.name,
        prompts: conversations.prompts.length,
        principles: constitution.principles.length,
        rounds: settings.preferences ? settings.pairs : settings.rounds,
        output: root,
      }
      yield* conversations.warnings
      const calls = await openCalls(root, settings, signal)
      const context: PhaseContext = { root, settings, constitution, models, conversations, calls, command }
      const made = yield* settings.preferences ? comparePairs(context) : reviseAll(context)
      yield made ? { event: 'result', phase, ...made } : { event: 'stopped', output: root }
    } finally {
      await unlock()
    }
  } finally {
    await models.close()
  }
}

const checkKept = ({ keep, preferences }: CritiqueSettings) => {
  if (preferences && keep?.includes('unchanged'))
    throw badInput('bad-flag', 'unchanged is of revisions, and with --preferences nothing is revised; leave it out', {
      flag: '--keep',
    })
}

const ownFiles =
  /^(calls\.jsonl|sft\.jsonl|transcripts\.jsonl|critique\.json|report\.html|preferences\.(jsonl|json|html)|pairs\.jsonl|run\.lock.*)$/

/** Takes the folder. Throws Faults 'taken' for one that holds something else, 'locked' while another process writes it. */
const claim = (root: string): Promise<() => Promise<void>> =>
  claimFolder(root, async () => {
    const foreign = (await readdir(root)).find(
      (name) => !isTemporary(name) && !ownFiles.test(name.replace(/\.tmp$/, '')),
    )
    if (foreign) throw foreignFault(root, foreign, 'no folder of attune critique')
    return takeLock(root)
  })
