/** A row's tokens one by one: what each says and what training does with it. */
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Sequence } from './rowSigns.ts'

/** `trained`: learnt; `context`: read only; `cut`: outside the length limits. */
export type TokenUse = 'trained' | 'context' | 'cut'
export type ShownToken = { id: number; text: string; use: TokenUse; special: boolean; stop: boolean }
export type ShownSequence = { name: string; tokens: ShownToken[] }

/**
 * @param kept as training takes it; undefined for a row that is dropped, of which everything is cut
 * @param whole the same without length limits
 */
export const shownSequence = (
  { tokenizer, eosIds }: Pick<Tokenization, 'tokenizer' | 'eosIds'>,
  whole: Sequence,
  kept: Sequence | undefined,
): ShownSequence => {
  const before = kept ? cutBefore(whole, kept) : whole.ids.length
  const stream = tokenizer?.stream({ skipSpecialTokens: false })
  const texts = whole.ids.map((id) => (stream ? stream.push(id) : ` ${id}`))
  if (stream && texts.length) texts[texts.length - 1] += stream.flush()
  const useOf = (t: number): TokenUse => {
    const at = t - before
    if (!kept || at < 0 || at >= kept.ids.length) return 'cut'
    return kept.targets[at] ? 'trained' : 'context'
  }
  return {
    name: whole.name,
    tokens: whole.ids.map((id, t) => ({
      id,
      text: texts[t],
      use: useOf(t),
      special: tokenizer?.isSpecial(id) ?? false,
      stop: eosIds.has(id),
    })),
  }
}

/** How many tokens are missing at the beginning. */
const cutBefore = ({ ids }: Sequence, kept: Sequence): number => {
  const most = Math.max(0, ids.length - 1)
  for (let before = 0; before <= most; before++)
    if (kept.ids.every((id, t) => before + t >= ids.length || ids[before + t] === id)) return before
  return 0
}
