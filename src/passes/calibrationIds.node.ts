/** The calibration text (calibrationText.ts) as token ids of a model's own tokenizer. */
import type { Config } from '../models/architecture.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import { randomIds } from './calibrate.ts'
import { calibrationText } from './calibrationText.ts'
import type { Compute } from './int8.ts'

/**
 * Random ids where the folder has no tokenizer; none where the form needs no calibration.
 * @param dir of the base model: an adapter's own tokenizer would give the same weights another form
 */
export const calibrationIds = async (dir: string, config: Config, compute: Compute): Promise<number[]> => {
  if (compute !== 'int8-fast') return []
  const tokenizer = await loadTokenizerFolder(dir)
  return tokenizer ? tokenizer.encode(calibrationText).ids : randomIds(config.vocab_size)
}
