/** How a run ends: the weights of the result, `model/` as transformers loads it or `adapter/` as peft does, and the `end` event. */
import { join, resolve } from 'node:path'
import { repoOfPath } from '../../checkpoint/hubRepo.node.ts'
import { readState } from '../../checkpoint/state.node.ts'
import { adapterFiles } from '../../models/loraNew.ts'
import { type ModelFiles, modelFiles, type SaveDtype } from '../../models/save.ts'
import { storedAs, writeModelFolder } from '../../publish/modelFolder.ts'
import type { EndEvent } from '../../runs/events.ts'
import type { Run } from '../../runs/run.node.ts'
import type { Progress } from '../../train/loop.ts'
import { restoreState } from '../../train/state.ts'
import type { Policy } from './policy.ts'

type FinishedRun = {
  policy: Policy
  run: Run
  settings: { patience?: number; saveDtype: keyof typeof storedAs }
  /**
   * Contents of further files beside the weights, by name; they replace the model's own files of those names.
   * @param restored whether the best step's weights took the place of the last one's
   */
  resultFiles?: (restored: boolean) => Promise<Readonly<Record<string, string>>>
}

/** Writes the result, unless the run was interrupted: of the best step where --patience asks for it, else of the last. */
export const finishRun = async (
  { policy, run, settings, resultFiles }: FinishedRun,
  { progress, stopped }: { progress: Progress; stopped: EndEvent['stopped'] },
): Promise<EndEvent> => {
  const best = progress.best?.step
  const restored = settings.patience !== undefined && best !== undefined && best !== progress.step
  if (restored) {
    await restoreState(policy.backend, policy.arenas, (await readState(`${run.checkpoints}/step-${best}`)).file)
  }
  const output =
    stopped === 'interrupted'
      ? run.dir
      : await writeResult(policy, run.dir, settings.saveDtype, await resultFiles?.(restored))
  return {
    event: 'end',
    steps: progress.step,
    output,
    stopped,
    peak_memory: process.resourceUsage().maxRSS * 1024,
    ...(best !== undefined && { best_step: best }),
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
