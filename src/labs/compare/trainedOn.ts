/** Which of the compared models learned from a judge: in their own runs, and in the runs that these went on from. */
import { realpath } from 'node:fs/promises'
import { z } from 'zod'
import { settingsOf } from '../../recipes/trainer/settingsPaths.ts'
import { findRun } from '../../runs/find.node.ts'
import { runFolderOf } from '../../runs/resultFolder.node.ts'
import { type RunInfo, readInfo } from '../../runs/run.node.ts'

/** What a model learned from; `rewards` as settings name them, undefined for a model of whose training nothing is known. */
export type Learner = { name: string; rewards?: readonly string[] }

const text = z.string().optional().catch(undefined)
const settingsSchema = z.object({
  reward: z.array(z.string()).catch([]),
  judge: text,
  helper: text,
  model: text,
  adapter: text,
})

/** Its folder, for a run, and for the model or adapter inside one. */
export const runOf = async (model: string): Promise<string | undefined> => runFolderOf(model) ?? (await findRun(model))

/** The rewards of a run and of those that it went on from; of selfreward its judge, which is `helper` by its other name. */
export const rewardsOf = async (dir: string, seen: readonly string[] = []): Promise<string[]> => {
  const info = await readInfo(dir)
  const { reward, model, adapter, ...judges } = settingsSchema.parse(await settingsOf(info))
  const own = [...reward, ...(isSelfReward(info) ? [judges.judge, judges.helper] : [])]
  const before = new Set<string>()
  for (const from of [model, adapter]) {
    const run = from === undefined ? undefined : await runOf(from)
    if (run !== undefined && run !== dir && !seen.includes(run)) before.add(run)
  }
  const earlier = await Promise.all([...before].map((run) => rewardsOf(run, [...seen, dir])))
  return [...own.filter((spec) => spec !== undefined), ...earlier.flat()]
}

const isSelfReward = ({ method }: RunInfo) => method === 'selfreward'

/** The real path of a reward given as a run, a folder or a file, so that two spellings are one; else the spec itself. */
const rewardLocation = async (spec: string): Promise<string> => {
  const plain = spec.replace(/^[\w-]+=/, '').replace(/^judge:/, '')
  return realpath((await findRun(plain)) ?? plain).catch(() => plain)
}

/**
 * Names of the models that were trained on a judge, by the settings of their runs. A model of whose training nothing is known
 * counts as trained on every judge that --reward gives: `assumed`.
 * @param independent whether --judge gives it
 */
export const trainedOn = async (
  spec: string,
  independent: boolean,
  learners: readonly Learner[],
): Promise<{ trained: string[]; assumed: string[] }> => {
  const location = await rewardLocation(spec)
  const each = await Promise.all(
    learners.map(async ({ name, rewards }) => ({
      name,
      isKnown: rewards !== undefined,
      isOwn: (await Promise.all((rewards ?? []).map(rewardLocation))).includes(location),
    })),
  )
  // A way of training has one name and several runs
  const named = (chosen: typeof each) => [...new Set(chosen.map(({ name }) => name))]
  const own = each.filter(({ isOwn, isKnown }) => isOwn || (!isKnown && !independent))
  const certain = named(each.filter(({ isOwn }) => isOwn))
  return { trained: named(own), assumed: named(own).filter((name) => !certain.includes(name)) }
}
