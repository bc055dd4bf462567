/** What the digits do on the labelling page, for its help: it differs by the mode of the project. */
import type { ProjectSettings } from '../../../studio/labels/api.ts'

/** @param scale the number of the scale that is rated   @returns undefined where digits do nothing */
export const digitsOf = (
  { mode, scales, strengths }: Pick<ProjectSettings, 'mode' | 'scales' | 'strengths'>,
  responses: number,
  scale: number,
): readonly [keys: string, does: string] | undefined => {
  const upTo = (n: number) => `1 – ${Math.min(n, 9)}`
  if (mode === 'rank') return [upTo(responses), 'Rank of the response; the same rank twice is a tie']
  if (mode === 'best') return [upTo(responses), 'Choose that response as the best']
  if (mode === 'good') return ['1, 2', '1 is good, 2 is bad']
  if (mode === 'rate') return [`${scales[scale].min} – ${scales[scale].max}`, 'Rating of the response']
  if (mode !== 'pair') return undefined
  const tie = strengths + 1
  const sides =
    strengths === 1
      ? '1: A is better, 3: B is better'
      : `from 1: A is clearly better, to ${2 * strengths + 1}: B is clearly better`
  return [upTo(2 * strengths + 1), `${sides}; ${tie} is a tie`]
}
