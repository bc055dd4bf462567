/** Whether some models of a comparison were cut off much more often than another, in a sentence. */
import { listed, percent, plural } from '../../util/format.ts'
import type { CompareFindings } from './findings.ts'

/** So much larger a share of answers that were cut off is worth a sentence. */
const cutGap = 0.2

/** Models that were cut off much more often than the one that was least often. @param maxNewTokens at which they were */
export const cutText = ({ policies, sft }: CompareFindings, maxNewTokens: number): string[] => {
  const least = policies.reduce((a, b) => (b.cut < a.cut ? b : a))
  // 53 % and 33 % are 20 points apart, whatever is lost in binary fractions
  const often = policies.filter(({ cut }) => cut - least.cut > cutGap - 1e-9)
  if (!often.length) return []
  const base = policies.find(({ name }) => name === sft)
  const isUnlearnt = base !== undefined && often.every(({ cut }) => cut - base.cut > cutGap - 1e-9)
  const shares = listed(
    often.map(({ name, cut }, i) =>
      i === 0
        ? `${name}'s answers were cut off at ${plural(maxNewTokens, 'token')} in ${percent(cut)} of cases`
        : `${name}'s in ${percent(cut)}`,
    ),
  )
  const who = often.length > 1 ? 'they have' : 'it has'
  return [
    `${shares}, ${least.name}'s in ${percent(least.cut)}: raise --max-new-tokens, or ${who} ${isUnlearnt ? 'unlearnt' : 'not learnt'} to stop.`,
  ]
}
