/**
 * The repetitive-list attack (Zheng et al. 2023, arXiv 2306.05685, section 3.4): a list, and before it the same list said in
 * other words. The longer answer says no more, so a judge that prefers it is fooled by length.
 */

/** A list in an answer: what stands before it, its items, what follows. */
type ListAnswer = { before: string; items: string[]; numbered: boolean; after: string }

const itemLine = /^\s*(?:(\d+)[.)]|[-*•])\s+(\S.*)$/
/** Fewer items make no list. */
const fewestItems = 3

/** The first list of an answer; undefined where it has none. Blank lines between items are part of it. */
export const listIn = (answer: string): ListAnswer | undefined => {
  const lines = answer.split('\n')
  for (let start = 0; start < lines.length; start++) {
    if (!itemLine.test(lines[start])) continue
    let end = start
    const items: string[] = []
    for (let at = start; at < lines.length && (itemLine.test(lines[at]) || !lines[at].trim()); at++) {
      const found = itemLine.exec(lines[at])
      if (!found) continue
      items.push(found[2].trim())
      end = at + 1
    }
    if (items.length >= fewestItems)
      return {
        before: lines.slice(0, start).join('\n'),
        items,
        numbered: itemLine.exec(lines[start])![1] !== undefined,
        after: lines.slice(end).join('\n'),
      }
    start = end
  }
  return undefined
}

/** An answer of several sentences as a list of them; undefined of fewer than three. */
const sentencesAsList = (answer: string): ListAnswer | undefined => {
  const items = answer
    .replaceAll(/\s+/g, ' ')
    .split(/(?<=[.!?])\s+(?=\p{Lu})/u)
    .filter((sentence) => sentence.trim())
  return items.length < fewestItems ? undefined : { before: '', items, numbered: true, after: '' }
}

/** Words that stand for others, for the built-in rephrasing. */
const otherWords: readonly (readonly [string, string])[] = [
  ['important', 'essential'],
  ['make sure', 'ensure'],
  ['need to', 'have to'],
  ['help', 'assist'],
  ['helps', 'assists'],
  ['use', 'employ'],
  ['using', 'employing'],
  ['many', 'a lot of'],
  ['start', 'begin'],
  ['try', 'attempt'],
  ['get', 'obtain'],
  ['show', 'display'],
  ['keep', 'maintain'],
  ['choose', 'select'],
  ['good', 'suitable'],
  ['big', 'large'],
  ['often', 'frequently'],
  ['also', 'in addition'],
  ['because', 'since'],
  ['for example', 'for instance'],
]
const replacements = new Map(otherWords)
const anyWord = new RegExp(`\\b(?:${otherWords.map(([word]) => word).join('|')})\\b`, 'g')

const openings = ['In other words:', 'Put differently:', 'That is to say:', 'Said another way:']

/** A sentence in other words by a simple rule: an opening, and some words exchanged. It adds nothing. */
export const rephrased = (sentence: string, i: number): string =>
  `${openings[i % openings.length]} ${sentence.replace(anyWord, (word) => replacements.get(word)!)}`

export type PaddedAnswer = {
  /** The answer as it was, or its sentences as a list. */
  plain: string
  /** With a copy of its list in other words before it. */
  padded: string
  /** False where the answer was a text, and its sentences were made a list. */
  hadList: boolean
}

/** What is asked of a model that is to rephrase a list, and how its reply is read. */
export const rephraseRequest = (items: readonly string[]): string =>
  `Say each item of this list in other words. Add nothing and leave nothing out. Write one item a line, ${items.length} lines, in the same order, without numbers.\n\n${items.join('\n')}`

/** The items of a reply to `rephraseRequest`; undefined where it has another number of lines. */
export const rephrasedItems = (reply: string, count: number): string[] | undefined => {
  const lines = reply.split('\n').map((line) => (itemLine.exec(line)?.[2] ?? line).trim())
  const items = lines.filter(Boolean)
  return items.length === count ? items : undefined
}

/** The list of an answer, or its sentences as one; undefined where it is too short for either. */
export const attackable = (answer: string): (ListAnswer & { hadList: boolean }) | undefined => {
  const list = listIn(answer)
  if (list) return { ...list, hadList: true }
  const made = sentencesAsList(answer)
  return made && { ...made, hadList: false }
}

/** @param copy the items in other words; by default by the built-in rule */
export const paddedAnswer = (
  { before, items, numbered, after, hadList }: ListAnswer & { hadList: boolean },
  copy: readonly string[] = items.map(rephrased),
): PaddedAnswer => {
  const written = (all: readonly string[]) => all.map((item, i) => `${numbered ? `${i + 1}.` : '-'} ${item}`).join('\n')
  const whole = (list: string) => [before, list, after].filter((part) => part.trim()).join('\n\n')
  return { plain: whole(written(items)), padded: whole(written([...copy, ...items])), hadList }
}
