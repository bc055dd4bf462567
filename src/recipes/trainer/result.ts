/** How a run ends: the weights of the result, `model/` as transformers loads it or `adapter/` as peft does, and the `end` event. */
import { join, resolve } from 'node:path'
import { repoOfPath } from '../../checkpoint/hubRepo.node.ts'
import { readState } from '../../checkpoint/state.node.ts'
import { adapterFiles } from '../../models/loraNew.ts'
import { type ModelFiles, modelFiles, type SaveDtype } from '../../models/save.ts'
import { storedAs, writeModelFolder } from '../../publish/modelFolder.ts'
import type { EndEvent, ProgressEvent, WarningEvent } from '../../runs/events.ts'
import type { Run } from '../../runs/run.node.ts'
import { betterThanLast, type Progress } from '../../train/loop.ts'
import { Fault } from '../../util/fault.ts'
import { type Policy, restorePolicy } from './policy.ts'

type FinishedRun = {
  policy: Policy
  run: Run
  settings: { bestMetric?: string; saveDtype: keyof typeof storedAs }
  /**
   * Contents of further files beside the weights, by name; they replace the model's own files of those names.
   * @param restored whether the best step's weights took the place of the last one's
   */
  resultFiles?: (restored: boolean) => Promise<Readonly<Record<string, string>>>
  /** What is made with the weights of the result, once they are written. */
  afterwards?: () => AsyncGenerator<ProgressEvent | WarningEvent, void>
}

/**
 * Writes the result, unless the run was interrupted: the weights of the best evaluation where the last was not as good, else
 * those of the last step.
 */
export async function* finishRun(
  { policy, run, settings: { bestMetric = 'none', saveDtype }, resultFiles, afterwards }: FinishedRun,
  { progress, stopped }: { progress: Progress; stopped: EndEvent['stopped'] },
): AsyncGenerator<WarningEvent | ProgressEvent | EndEvent> {
  const { step, best, last } = progress
  let output = run.dir
  let resultStep = step
  if (stopped !== 'interrupted') {
    const better = betterThanLast(bestMetric, progress)
    const warning = better && (await restoreCheckpoint(policy, run, better.step))
    if (warning) yield warning
    const restored = better !== undefined && !warning
    if (restored) resultStep = better.step
    output = await writeResult(policy, run.dir, saveDtype, await resultFiles?.(restored))
    if (afterwards) yield* afterwards()
  }
  yield {
    event: 'end',
    steps: step,
    output,
    stopped,
    peak_memory: process.resourceUsage().maxRSS * 1024,
    ...(best && {
      best_step: best.step,
      best_metric: bestMetric,
      best_value: best.value,
      ...(last && { last_value: last.value }),
      ...(stopped !== 'interrupted' && { result_step: resultStep }),
    }),
  }
}

/** Puts the weights of a checkpoint into the policy, or says why it keeps its own. */
const restoreCheckpoint = async (policy: Policy, run: Run, step: number): Promise<WarningEvent | undefined> => {
  try {
    const { file } = await readState(join(run.checkpoints, `step-${step}`))
    await restorePolicy(policy, file)
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'bad-checkpoint') throw error
    const message = `the result has the weights of the last step, since those of the best one cannot be read: ${error.message}`
    return { event: 'warning', code: 'no-best', message }
  }
}

/** Written under another name and renamed, so that the folder is whole or not there. @returns its path */
const writeResult = async (
  policy: Policy,
  runDir: string,
  dtype: keyof typeof storedAs,
  more: Readonly<Record<string, string>> = {},
): Promise<string> => {
  const path = join(runDir, policy.adapter ? 'adapter' : 'model')
  const stem = policy.adapter ? 'adapter_model' : 'model'
  const { texts, tensors } = filesOf(policy, storedAs[dtype])
  await writeModelFolder(
    path,
    { texts: { ...texts, ...more }, tensors },
    { stem, tokenizerFrom: { dir: policy.dir, adapter: policy.adapterDir } },
  )
  return path
}

const filesOf = (policy: Policy, dtype: SaveDtype): ModelFiles => {
  const { model, adapter, pretrained, dir } = policy
  const read = (name: string) => model.backend.read(model.params.get(name)!)
  if (!adapter) return modelFiles(pretrained, dtype, pretrained.generationConfig, read)
  // The path of a cached hub model would mean nothing on another machine
  const base = repoOfPath(dir) ?? resolve(dir)
  const { config, tensors } = adapterFiles(adapter, pretrained.architecture, pretrained.config, read, base)
  return { texts: { 'adapter_config.json': config }, tensors }
}
