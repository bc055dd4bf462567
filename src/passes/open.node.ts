/**
 * Opens a model by whatever names it on a command line: a folder, a hub id or a run. Peculiar: everything that can be
 * wrong with the files is found before the engine starts and the first weight is read.
 */
import { resolveModel } from '../checkpoint/hub.node.ts'
import { loadPretrained } from '../models/load.node.ts'
import { modelOfRun } from '../runs/find.node.ts'
import type { Backend } from '../runtime/backend.ts'
import { type OpenOptions as EngineOptions, openBackend } from '../runtime/open.node.ts'
import { putWeights } from './load.ts'
import { type Model, makeModel } from './model.ts'

export type OpenModelOptions = EngineOptions & {
  /** A folder in Hugging Face layout, a hub id, or a run's name or folder. */
  model: string
  /** Called with bytes fetched, then with tensors read. */
  onProgress?: (progress: { phase: 'download' | 'load'; done: number; total: number }) => void
}

export type OpenedModel = {
  model: Model
  /** The folder that holds it. */
  dir: string
  /** Paths of the weights. */
  files: readonly string[]
  generationConfig?: Readonly<Record<string, unknown>>
  backend: Backend
  /** Ends the engine. */
  close(): Promise<void>
}

/** Faults: those of `modelOfRun`, `resolveModel` and `loadPretrained`. */
export const openModel = async ({ model: name, onProgress, ...engine }: OpenModelOptions): Promise<OpenedModel> => {
  const run = await modelOfRun(name)
  const dir = await resolveModel(run?.model ?? name, {
    onProgress: ({ bytes, total }) => onProgress?.({ phase: 'download', done: bytes, total }),
  })
  const { architecture, config, params, files, generationConfig } = await loadPretrained(dir)
  const backend = await openBackend(engine)
  try {
    const handles = await putWeights(backend, params, (done) =>
      onProgress?.({ phase: 'load', done, total: params.size }),
    )
    const model = makeModel({ architecture, config, backend, params: handles })
    return { model, dir, files, generationConfig, backend, close: () => backend.close() }
  } catch (error) {
    await backend.close()
    throw error
  }
}
