/** `--loss sigmoid:0.8,sft:0.2` as losses with weights. */
import type { LossSpec } from '../../objectives/preference.ts'
import { type PreferenceLoss, preferenceLossNames } from '../../objectives/preferenceLosses.ts'
import { badInput } from '../../util/fault.ts'
import { nearest } from '../../util/nearest.ts'
import { quoted } from '../../util/quote.ts'

export const parseLosses = (text: string): LossSpec[] => text.split(',').map((part) => parseLoss(part.trim()))

const parseLoss = (part: string): LossSpec => {
  const [name, weight, ...rest] = part.split(':')
  if (!(preferenceLossNames as readonly string[]).includes(name)) {
    const near = nearest(name, preferenceLossNames)
    throw badInput(
      'bad-flag',
      `${quoted(name)} is no loss${near ? `; did you mean ${near}?` : ''} Known: ${preferenceLossNames.join(', ')}`,
      { flag: '--loss' },
    )
  }
  const value = weight === undefined ? 1 : Number(weight)
  if (rest.length || !Number.isFinite(value) || weight === '')
    throw badInput('bad-flag', `${quoted(part)} is not NAME or NAME:WEIGHT`, { flag: '--loss' })
  return { name: name as PreferenceLoss, weight: value }
}
