/** Opens the judges that are not the model itself: who scores its answers (--judge), and who compares two models (--outside-judge). */
import { filesOf } from '../../checkpoint/folder.node.ts'
import { isUrl } from '../../endpoint/open.node.ts'
import { openJudge } from '../../feedback/judge/judge.ts'
import { openTextModel } from '../../feedback/textModel/openTextModel.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { loadAdapted, loadPretrained } from '../../models/load.node.ts'
import { type ModelFolders, resolveModel } from '../../models/resolve.node.ts'
import { openReward } from '../../rewards/open.ts'
import { badInput, Fault } from '../../util/fault.ts'
import { makeResources, type Resources } from '../../util/resources.ts'
import { type FileHash, sha256Files } from '../../util/sha256.node.ts'
import type { Loading } from '../trainer/recipe.ts'
import type { OtherJudge, OutsideJudge, SelfRewardContext, Settings } from './context.ts'
import { rewardJudge, textJudge } from './judges.ts'
import { judgeOptions } from './seedRows.ts'

type Given = {
  settings: Settings
  templates: SelfRewardContext['templates']
  tokenization: Tokenization
  /** The policy's, before any training. */
  folders: ModelFolders
  loading: Loading
}

export type OpenedJudges = { judge?: OtherJudge; outsideJudge?: OutsideJudge; files: FileHash[] }

export const openJudges = async (given: Given): Promise<OpenedJudges> => {
  const { settings, loading } = given
  const { judge, helper, outsideJudge } = settings
  if (judge !== undefined && helper !== undefined)
    throw badInput('bad-flag', 'says the same as --judge; give one of them', { flag: '--helper' })
  const spec = judge ?? helper
  const found = spec === undefined ? undefined : await localKind(spec, loading)
  const outside = outsideJudge === undefined ? undefined : await localKind(outsideJudge, loading)
  if (outside?.scores)
    throw badInput('bad-flag', 'gives scores, and the outside judge must write texts', { flag: '--outside-judge' })
  const scorer =
    spec === undefined ? undefined : openedOnce(spec, !found?.scores, (own) => openOther(spec, found, given, own))
  const comparer =
    outsideJudge === undefined
      ? undefined
      : openedOnce(outsideJudge, true, (own) => openOutside(outsideJudge, settings, own))
  // What is wrong with one is found before anything is written, and the memory is free again for the trainings
  await tried(scorer, judge === undefined ? '--helper' : '--judge')
  await tried(comparer, '--outside-judge')
  return {
    judge: scorer,
    outsideJudge: comparer,
    files: [...(found?.files ?? []), ...(outside?.files ?? [])],
  }
}

/** Opens and closes it. A Fault names the flag. */
const tried = async (opened: { open(): Promise<unknown>; close(): Promise<void> } | undefined, flag: string) => {
  try {
    await opened?.open()
  } catch (error) {
    if (!(error instanceof Fault) || error.where.file) throw error
    throw new Fault(error.code, error.message.replace(/^--reward: /, ''), { flag }, error.exitCode, error.details)
  }
  await opened?.close()
}

/** Opened when it is needed, and again after it was closed. */
const openedOnce = <J>(name: string, writes: boolean, openIt: (own: Resources['own']) => Promise<J>) => {
  let opened: { judge: J; close(): Promise<void> } | undefined
  return {
    name,
    writes,
    async open(): Promise<J> {
      if (opened) return opened.judge
      const { own, close } = makeResources()
      try {
        opened = { judge: await openIt(own), close }
        return opened.judge
      } catch (error) {
        await close()
        throw error
      }
    },
    async close() {
      const { close } = opened ?? {}
      opened = undefined
      await close?.()
    },
  }
}

type LocalKind = { scores: boolean; files: FileHash[] }

/** What a local model is, by its files; undefined for a server. */
const localKind = async (name: string, loading: Loading): Promise<LocalKind | undefined> => {
  if (isUrl(name)) return undefined
  const { dir, adapter } = await resolveModel({ model: name }, loading)
  const { files, generationConfig: _, ...pretrained } = await loadPretrained(dir)
  const { architecture } = adapter === undefined ? pretrained : (await loadAdapted(adapter, pretrained)).base
  return {
    scores: architecture.scores === 'alone' || architecture.pairs !== undefined,
    files: await sha256Files(await filesOf({ dir, adapter }, files)),
  }
}

const openOther = async (
  spec: string,
  found: LocalKind | undefined,
  { settings, templates, tokenization, folders }: Given,
  own: Resources['own'],
) => {
  const { device, threads } = settings
  if (found?.scores) {
    const given = { reward: [spec], rewardTimeout: 60, device, threads }
    return rewardJudge(await openReward(spec, given, { own, tokenization, folders }), tokenization)
  }
  const model = own(await openTextModel(spec, { device, threads, batchSize: 64 }))
  return textJudge(model, judgeOptions({ settings, templates }))
}

const openOutside = async (spec: string, settings: Settings, own: Resources['own']) => {
  const { device, threads, judgeMaxNewTokens: maxNewTokens } = settings
  return own(await openJudge(spec, { mode: 'pairwise', maxNewTokens, device, threads }))
}
