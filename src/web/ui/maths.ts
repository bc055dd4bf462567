/**
 * TeX in markdown: $...$, $$...$$, \(...\) and \[...\] become `<span class="maths">` with the TeX as text. A dollar sign that
 * has a space inside or a digit after, as in "$5 and $6", is a dollar sign.
 */
import type { MarkdownIt } from 'markdown-it'

const forms: readonly [open: string, close: string, display: boolean][] = [
  ['$$', '$$', true],
  ['\\[', '\\]', true],
  ['\\(', '\\)', false],
  ['$', '$', false],
]

export const addMaths = (markdown: MarkdownIt): void => {
  // A formula on lines of its own may hold what markdown would take for a list or a heading
  markdown.block.ruler.before('fence', 'maths', (state, line, lastLine, silent) => {
    const start = state.bMarks[line] + state.tShift[line]
    const found = findMaths(state.src, start, state.eMarks[lastLine - 1])
    if (!found?.display || /\n\s*\n/.test(found.tex)) return false
    let last = line
    while (state.eMarks[last] < found.end) last++
    if (state.src.slice(found.end, state.eMarks[last]).trim() !== '') return false
    if (silent) return true
    state.line = last + 1
    state.push('paragraph_open', 'p', 1).map = [line, state.line]
    Object.assign(state.push('maths', 'span', 0), { content: found.tex, meta: { display: true } })
    state.push('paragraph_close', 'p', -1)
    return true
  })
  markdown.inline.ruler.before('escape', 'maths', (state, silent) => {
    const found = findMaths(state.src, state.pos, state.posMax)
    if (!found) return false
    if (!silent) Object.assign(state.push('maths', 'span', 0), { content: found.tex, meta: { display: found.display } })
    state.pos = found.end
    return true
  })
  markdown.renderer.rules.maths = (tokens, i) => {
    const { content, meta } = tokens[i]
    return `<span class="maths${meta?.display ? ' display' : ''}" dir="ltr">${markdown.utils.escapeHtml(content)}</span>`
  }
}

/** The formula that begins at `start`, if one does. */
export const findMaths = (text: string, start: number, limit: number) => {
  const form = forms.find(([open]) => text.startsWith(open, start))
  if (!form) return undefined
  const [open, close, display] = form
  const from = start + open.length
  let at = text.indexOf(close, from)
  while (at > 0 && text[at - 1] === '\\' && close.startsWith('$')) at = text.indexOf(close, at + 1)
  if (at < 0 || at + close.length > limit) return undefined
  const tex = text.slice(from, at)
  if (tex.trim() === '' || (open === '$' && (/^\s|\s$|\n\s*\n/.test(tex) || /\d/.test(text[at + 1] ?? ''))))
    return undefined
  return { tex, display, end: at + close.length }
}
