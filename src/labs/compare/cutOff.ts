/** Whether some models of a comparison were cut off much more often than another, in words. */
import { listed, percent, plural } from '../../util/format.ts'
import type { CompareFindings } from './findings.ts'

/** So much larger a share of answers that were cut off is worth a sentence. */
const cutGap = 0.2

/**
 * How many answers of every model were cut off, the most first; nothing where the shares are about the same.
 * @param maxNewTokens at which they were cut off
 */
export const cutText = ({ policies, sft }: CompareFindings, maxNewTokens: number): string[] => {
  const byShare = policies.toSorted((a, b) => b.cut - a.cut)
  const [most, least] = [byShare[0].cut, byShare.at(-1)!.cut]
  // 53 % and 33 % are 20 points apart, whatever is lost in binary fractions
  if (most - least < cutGap + 1e-9) return []
  const often = byShare.filter(({ cut }) => cut > (most + least) / 2)
  const isUnlearnt = often.every(({ name }) => name !== sft)
  const shares = byShare.map(({ name, cut }) => `${percent(cut)} of ${name}'s`)
  const names = often.map(({ name }) => name)
  return [
    `How many answers were cut off at ${plural(maxNewTokens, 'token')} differs: ${listed(shares)}. The judges saw these without their end. Raise --max-new-tokens; if about as many are still cut off, ${listed(names)} ${names.length > 1 ? 'have' : 'has'} ${isUnlearnt ? 'unlearnt' : 'not learnt'} to stop.`,
  ]
}
