/** The part of a reply after what its model thought aloud, between tags such as `<think>`. */

export const reasoningTags = ['think', 'thinking', 'thought', 'reasoning']
const tags = reasoningTags.join('|')

/** Undefined where the reasoning does not end. */
export const afterReasoning = (text: string): string | undefined => {
  const end = [...text.matchAll(new RegExp(`</(?:${tags})>`, 'gi'))].at(-1)
  if (end) return text.slice(end.index + end[0].length)
  return new RegExp(`^\\s*<(?:${tags})>`, 'i').test(text) ? undefined : text
}
