/** What a run calls the model that it began from: a short name, and the run or the adapter that trained it before. */

const separator = /[\\/]/
const partsOf = (path: unknown): string[] => String(path).split(separator).filter(Boolean)

const result = /[\\/](?:model|adapter)[\\/]?$/

/** The folder of the run that made a model or an adapter, which lies in its `model/` or `adapter/`; undefined for others. */
export const runFolderOf = (path: string): string | undefined =>
  result.test(path) ? path.replace(result, '') || undefined : undefined

const runOf = (path: unknown): string | undefined => {
  const folder = runFolderOf(String(path))
  return folder === undefined ? undefined : partsOf(folder).at(-1)
}

/** The hub's name, that of the run that made it, or the folder's own. */
export const modelName = (model: unknown): string => {
  if (model === undefined) return 'a model'
  const run = runOf(model)
  if (run !== undefined) return run
  const parts = partsOf(model)
  const isHub = parts.length === 2 && !separator.test(String(model).slice(0, 1))
  return isHub ? parts.join('/') : (parts.at(-1) ?? String(model))
}

/** With what was trained before: 'small', 'small, as the run sft left it,', 'small with the adapter tone'. */
export const beganFrom = ({ model, adapter }: Readonly<Record<string, unknown>>): string => {
  const name = modelName(model)
  if (adapter === undefined) return runOf(model) === undefined ? name : `the model of the run ${name}`
  const run = runOf(adapter)
  return run === undefined ? `${name} with the adapter ${modelName(adapter)}` : `${name}, as the run ${run} left it,`
}
