/**
 * Adds the settings of a run that need not be given: those of the run that is resumed, the model of a run, a new folder, and
 * the defaults of another program.
 */
import { availableParallelism } from 'node:os'
import { modelOfRun, newRunFolder } from '../../runs/find.node.ts'
import { readInfo } from '../../runs/run.node.ts'
import { badInput } from '../../util/fault.ts'
import { settingsOf } from './settingsPaths.ts'
import { withLikeDefaults } from './trlDefaults.ts'

type Settings = Readonly<Record<string, unknown>>

/**
 * With `resume` the settings of the run in `output`; where `model` names a run, the model and adapter of that run; where there
 * is no `output`, a new folder; with `like` the defaults of the other program. Throws a Fault 'bad-flag' for `resume` without `output`, and those of a run that cannot be read.
 */
export const completeSettings = async (method: string, given: Settings): Promise<Record<string, unknown>> => {
  if (given.resume && given.output === undefined)
    throw badInput('bad-flag', 'needs --output, the folder of the run to continue', { flag: '--resume' })
  const earlier = given.resume && typeof given.output === 'string' ? await resumedSettings(given.output, given) : {}
  const source = typeof given.model === 'string' ? await modelOfRun(given.model) : undefined
  const settings = { ...earlier, ...source, ...withoutRunName(given, source) }
  return { output: await newRunFolder(method), ...withLikeDefaults(method, settings) }
}

/** None for a run that was killed before it wrote run.json, if --model is given again: then it starts from the beginning. */
const resumedSettings = (dir: string, given: Settings): Promise<Settings> =>
  readInfo(dir).then(
    async (info) => ({
      // As many threads as before, if this machine has as many
      ...(info.engine && { threads: Math.min(info.engine.threads, availableParallelism()) }),
      ...(await settingsOf(info)),
    }),
    (error) => {
      // If the model is given, openRun says what is wrong with the folder
      if (given.model === undefined) throw error
      return {}
    },
  )

/** The given settings, without --model where it is the name of a run: that run's own model takes its place. */
const withoutRunName = ({ model, ...given }: Settings, source: object | undefined) =>
  source || model === undefined ? given : { ...given, model }
