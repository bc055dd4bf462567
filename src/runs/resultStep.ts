/** Which step's weights the result of a run has: where rows are held out, those of the best evaluation. */
import { formatNumber, whole } from '../util/format.ts'

type Fields = Readonly<Record<string, unknown>>

/** @param end the last event of a run   @param config its settings */
export const resultStep = ({ result_step, best_step, steps }: Fields, config: Fields): number => {
  if (typeof result_step === 'number') return result_step
  // Earlier versions took the best step under --patience alone
  return Number((config.patience !== undefined && best_step) || steps)
}

/** The same in words; undefined where it is simply the last step. */
export const resultStepText = (end: Fields, config: Fields): string | undefined => {
  const step = resultStep(end, config)
  if (!(step < Number(end.steps))) return undefined
  const { best_metric, best_value, last_value } = end
  const which = step === 0 ? 'step 0 (before training)' : `step ${whole(step)}`
  if (typeof best_value !== 'number') return `${which}, the best on held-out rows`
  const metric = String(best_metric).replace(/^eval_/, '')
  const last = typeof last_value === 'number' ? `; the last was ${formatNumber(last_value)}` : ''
  return `${which}, the best held-out ${metric} ${formatNumber(best_value)}${last}`
}
