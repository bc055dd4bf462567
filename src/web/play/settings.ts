/** The settings of the playground: models, sampling, who scores, how answers are shown. */
import type { Sampling, Scorer } from '../../studio/play/api.ts'
import { defaultSampling } from './conversation.ts'

export const maxLanes = 4

export const views = ['markdown', 'text', 'tokens'] as const
export type View = (typeof views)[number]

export type Settings = {
  /** Models by lane; '' where none is chosen yet. */
  lanes: string[]
  sampling: Sampling
  /** Models that score answers; '' for nobody. */
  scorers: Record<Scorer['kind'], string>
  view: View
}

export const defaultSettings: Settings = {
  lanes: [''],
  sampling: defaultSampling,
  scorers: { reward: '', judge: '' },
  view: 'markdown',
}
