/**
 * Self-rewarding language models (arXiv 2401.10020): a model that learns from its own judgement. It learns instructions and
 * judging from seed rows. Then, in each iteration, it writes new prompts, answers each several times, scores the answers as a
 * judge, and learns by DPO to prefer its best answer to its worst. With another judge this is iterative DPO.
 */
import { openTokenization } from '../generate/tokenization.node.ts'
import { loadPretrained } from '../models/load.node.ts'
import { type ModelFolders, resolveModel } from '../models/resolve.node.ts'
import type { StartEvent, WarningEvent } from '../runs/events.ts'
import { badInput } from '../util/fault.ts'
import { methods } from './methods.ts'
import { iterationSteps } from './selfplay/training.ts'
import type { SelfRewardContext, Settings } from './selfreward/context.ts'
import { openSeedData, type SeedData } from './selfreward/data.ts'
import { openJudges } from './selfreward/openJudges.ts'
import { lastPhase, openPhases } from './selfreward/phases.ts'
import { selfRewardSchema } from './selfreward/schema.ts'
import { runSelfRewarding } from './selfreward/trainer.ts'
import { unreadWarnings } from './trainer/dataset.ts'
import { openPolicy } from './trainer/policy.ts'
import { type Loading, recipe } from './trainer/recipe.ts'
import { startEvent } from './trainer/trainer.ts'

export const selfreward = recipe(
  methods.selfreward,
  selfRewardSchema,
  async function* (settings, { signal, own, run, loading }) {
    // data
    const folders = await resolveModel(settings, loading)
    const tokenization = await openTokenization(folders, await loadPretrained(folders.dir), settings)
    if (!tokenization.tokenizer)
      throw badInput(
        'no-tokenizer',
        'has no tokenizer, and self-rewarding writes and judges texts; give another model',
        {
          file: folders.dir,
        },
      )
    const data = await openSeedData(settings, tokenization.tokenizer.chat !== undefined, own)
    // judges
    const { judge, outsideJudge, files } = await openJudges({
      ...{ settings, templates: data.templates, tokenization, folders, loading },
    })
    // model
    const start = await startOf(settings, data, folders, loading)
    const last = run.resumed ? await lastPhase({ run }) : undefined
    if (last) run.goOn({ step: last.steps, log: last.log, hasLine: true })
    yield { ...start, step: last?.steps ?? 0, model_files: [...start.model_files, ...files] }
    if (!last) yield* unreadWarnings([data.dataset.rows])
    if (settings.resume && !run.resumed) yield nothingToResume
    // loop
    const context: SelfRewardContext = {
      ...{ settings, run, signal, loading, ...data, judge, outsideJudge },
      steps: { before: 0 },
      lines: new Map(),
      open: {},
    }
    const phases = own(await openPhases(context))
    yield* runSelfRewarding(context, phases)
  },
  { diagnoses: false },
)

/** The facts of the model that is trained, which is closed again: each phase opens the models that it needs. */
const startOf = async (
  settings: Settings,
  { dataset, rows, heldOut, files }: SeedData,
  folders: ModelFolders,
  loading: Loading,
): Promise<StartEvent> => {
  const { sftEpochs: epochs, sftMaxSteps: maxSteps, iterations, numPrompts } = settings
  const seedSteps = iterationSteps({ ...settings, epochs, maxSteps }, rows.length)
  const policy = await openPolicy(settings, folders, loading)
  try {
    const surveyed = ({ length }: { length: number }) => ({ length, found: () => ({ dropped: {}, odd: {} }) })
    const examples = {
      ...{ train: surveyed(rows), eval: heldOut && surveyed(heldOut), files },
      dropped: { train: dataset.rows.dropped, eval: {} },
    }
    return await startEvent({ policy, examples }, 0, seedSteps + iterations * iterationSteps(settings, numPrompts))
  } finally {
    await policy.close()
  }
}

const nothingToResume: WarningEvent = {
  event: 'warning',
  code: 'nothing-to-resume',
  message: 'there was no run to resume: this one begins at its first step',
}
