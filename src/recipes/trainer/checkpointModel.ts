/**
 * Opens a checkpoint of a run, RUN/checkpoints/step-N, as a model that completes: the model that the run began with, and over it
 * the weights that the checkpoint holds. What only training needs (gradients, the optimizer's state) is not read.
 */
import { stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { readState, type State } from '../../checkpoint/state.node.ts'
import { lazyTensor, type StoredTensor } from '../../checkpoint/stored.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { applyAdapter, trainedWeights } from '../../models/merge.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { calibrationIds } from '../../passes/calibrationIds.node.ts'
import { makeModel } from '../../passes/model.ts'
import type { OpenedModel, OpenModelOptions } from '../../passes/open.node.ts'
import { putQuantized } from '../../passes/quantize.ts'
import { readInfo } from '../../runs/run.node.ts'
import { openBackend } from '../../runtime/open.node.ts'
import { loadTokenizerFolder } from '../../text/tokenizer.node.ts'
import { placesInArenas } from '../../train/arena.ts'
import { badInput } from '../../util/fault.ts'
import { numel } from '../../util/shape.ts'
import { adapterOf, entriesOf, type PolicySettings } from './policy.ts'
import { settingsOf } from './settingsPaths.ts'

/** The settings of a run that decide what its arrays are. */
const schema = z.looseObject({
  model: z.string(),
  adapter: z.string().optional(),
  loraR: z.number().optional(),
  loraAlpha: z.number().optional(),
  loraDropout: z.number(),
  loraTarget: z.array(z.string()).optional(),
  useDora: z.boolean().optional(),
  seed: z.number(),
})

/** Whether a path is that of a checkpoint. */
export const isCheckpoint = (path: string): Promise<boolean> =>
  Promise.all(['manifest.json', 'state.json'].map((name) => stat(join(path, name)))).then(
    () => true,
    () => false,
  )

/** Faults: 'bad-checkpoint', 'no-run', and those of opening the model that the run began with. */
export const openCheckpointModel = async (
  path: string,
  options: Omit<OpenModelOptions, 'model' | 'adapter' | 'head'>,
): Promise<OpenedModel> => {
  const { onProgress = () => {}, quantize: format = 'none', compute = 'fp32' } = options
  const { data: settings } = schema.safeParse(await settingsOf(await readInfo(dirname(dirname(resolve(path))))))
  if (!settings)
    throw badInput('bad-checkpoint', 'is of a run that trains no single model; give a model that the run made', {
      file: path,
    })
  const state = await readState(path)
  const { dir, adapter: adapterDir } = await resolveModel(settings, {
    onProgress: ({ bytes, total }) => onProgress({ phase: 'download', done: bytes, total }),
  })
  const { files, generationConfig, ...pretrained } = await loadPretrained(dir)
  const begun = await adapterOf(
    settings as unknown as PolicySettings,
    { ...pretrained, files, generationConfig },
    adapterDir,
    undefined,
  )
  const trained = await trainedTensors(state, begun.adapter?.params ?? trainedWeights(begun.base))
  const whole = begun.adapter
    ? applyAdapter(begun.base, { ...begun.adapter, params: trained })
    : { ...begun.base, params: new Map([...begun.base.params, ...trained]) }
  const tokenizer = await loadTokenizerFolder(dir, adapterDir)
  const backend = await openBackend(options)
  try {
    const placed = await putQuantized(backend, whole, whole.params, {
      format,
      compute,
      calibration: await calibrationIds(dir, whole.config, compute),
      back: false,
      exact: begun.adapter?.saved ?? [],
      onTensor: (done) => onProgress({ phase: 'load', done, total: whole.params.size }),
    })
    const model = makeModel({ ...whole, backend, ...placed })
    return { model, tokenizer, dir, adapterDir, files, generationConfig, backend, close: () => backend.close() }
  } catch (error) {
    await backend.close()
    throw error
  }
}

/** The tensors that were trained, with their values in the checkpoint. */
const trainedTensors = async (
  state: State,
  before: ReadonlyMap<string, StoredTensor>,
): Promise<Map<string, StoredTensor>> => {
  const trained = new Map(before)
  for (const [i, { entries, size }] of placesInArenas(entriesOf(before)).entries()) {
    const source = await state.file(`arena${i}.params`)
    if (source.size !== 4 * size)
      throw badInput('bad-checkpoint', 'does not fit the model that its run began with', { file: state.path })
    for (const { name, shape, offset } of entries)
      trained.set(
        name,
        lazyTensor(name, shape, async () => {
          const bytes = await source.read(4 * offset, 4 * (offset + numel(shape)))
          return new Float32Array(bytes.slice().buffer)
        }),
      )
  }
  return trained
}
