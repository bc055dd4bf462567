/** The rows of a distillation: prompts with completions where batches learn on them, else prompts alone. */
import { Fault, withNote } from '../../util/fault.ts'
import { type Dataset, openDataset } from '../trainer/dataset.ts'

type DataSettings = Parameters<typeof openDataset>[1] & { lmbda: number; seqKd: boolean }

export const openDistillData = async (
  settings: DataSettings,
): Promise<{ dataset: Dataset<'completion' | 'prompt'>; promptsOnly: boolean }> => {
  const promptsOnly = settings.lmbda === 1 || settings.seqKd
  const dataset = await openDataset<'completion' | 'prompt'>(promptsOnly ? 'prompt' : 'completion', settings).catch(
    withAdvice,
  )
  return { dataset, promptsOnly }
}

const withAdvice = (error: unknown): never => {
  if (!(error instanceof Fault) || error.code !== 'wrong-kind') throw error
  throw withNote(error, '; prompts alone are enough with --lmbda 1 or --seq-kd')
}
