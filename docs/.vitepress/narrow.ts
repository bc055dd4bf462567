/** What keeps text readable on narrow screens: tables that stand as blocks there, and flags and numbers that never break. */
import type { MarkdownRenderer } from 'vitepress'

type Token = ReturnType<MarkdownRenderer['parse']>[number]

const textOf = ({ children }: Token) => (children ?? []).map(({ content }) => content).join('')

/** A table with a longer cell is prose, and so is one of a few columns that is wider. Others, such as tables of numbers, scroll sideways. */
const limits = { cell: 36, columns: 3, row: 44 }

/** A cell with a number. */
const figure = /^[-+]?\d[^(]{0,18}$/

const isProse = (columns: number, lengths: readonly number[]): boolean => {
  const longest = Array.from({ length: columns }, (_, c) => Math.max(0, ...lengths.filter((_, i) => i % columns === c)))
  const row = longest.reduce((sum, length) => sum + length, 0)
  return Math.max(...longest) > limits.cell || (columns <= limits.columns && row > limits.row)
}

/**
 * A plugin of markdown-it: a table of prose has the class `stack`, and where it has three columns or more, each cell has the name of its
 * column in `data-label`. The style sheet shows its rows as blocks on a phone. In all tables figures do not break, and one of many columns
 * has the class `wide`.
 */
export const stackedTables = (md: MarkdownRenderer) => {
  // VitePress's own rule leaves attributes out
  md.renderer.rules.table_open = (tokens, i, _options, _env, self) =>
    `<table tabindex="0"${self.renderAttrs(tokens[i])}>\n`
  md.core.ruler.push('stacked-tables', ({ tokens, env }) => {
    const isApi = /^api\//.test(env.relativePath ?? '')
    for (const [start, { type }] of tokens.entries()) {
      if (type !== 'table_open') continue
      const end = tokens.findIndex(({ type }, i) => i > start && type === 'table_close')
      const table = tokens.slice(start, end)
      const after = (kind: string) =>
        table.flatMap((token, i) => (token.type === kind ? [{ cell: token, text: textOf(table[i + 1]) }] : []))
      const [heads, cells] = [after('th_open'), after('td_open')]
      const lengths = cells.map(({ text }) => text.length)
      for (const { cell, text } of cells) if (figure.test(text)) cell.attrJoin('class', 'nowrap')
      if (heads.length >= 5) tokens[start].attrJoin('class', 'wide')
      if (!isApi && !isProse(heads.length, lengths)) continue
      tokens[start].attrJoin('class', 'stack')
      if (heads.length < 3) continue
      for (const [i, { cell }] of cells.entries()) {
        const { text } = heads[i % heads.length]
        if (text && i % heads.length > 0) cell.attrSet('data-label', text)
        if (cells[i].text === '-') cell.attrJoin('class', 'none')
      }
    }
  })
}

/** Words of code that a line could break behind a hyphen, as in `--learning-rate`. */
const unbroken = /^(?=.*-)[^\s]{1,32}$/
const numberOrFlag = /(\d(?:\.\d+)?e-\d+|--[a-z][a-z-]+|\([-+]?\d[^()]{0,24}\)|[-+]?\d[\d.,]* %)/

/**
 * A plugin of markdown-it: short flags and names in code, flags in commands and in text, numbers such as 1e-4 and 95 %, and intervals
 * have the class `nowrap`.
 */
export const unbrokenWords = (md: MarkdownRenderer) => {
  md.renderer.rules.code_inline = (tokens, i, _options, _env, self) => {
    const { content } = tokens[i]
    const html = md.utils.escapeHtml
    const words = content.split(/(\s+)/)
    const code = words.map((word) =>
      words.length > 1 && unbroken.test(word) ? `<span class="nowrap">${html(word)}</span>` : html(word),
    )
    return `<code v-pre${self.renderAttrs(tokens[i])}>${code.join('')}</code>`
  }
  md.core.ruler.push('unbroken-words', ({ tokens, Token }) => {
    const html = (content: string) => Object.assign(new Token('html_inline', '', 0), { content })
    const text = (content: string) => Object.assign(new Token('text', '', 0), { content })
    for (const inline of tokens) {
      if (inline.type !== 'inline') continue
      inline.children = (inline.children ?? []).flatMap((token) => {
        if (token.type === 'code_inline' && unbroken.test(token.content)) token.attrJoin('class', 'nowrap')
        if (token.type !== 'text' || !numberOrFlag.test(token.content)) return [token]
        return token.content
          .split(numberOrFlag)
          .flatMap((part, i) => (i % 2 ? [html('<span class="nowrap">'), text(part), html('</span>')] : [text(part)]))
      })
    }
  })
}

/** Characters of a line of an output in the size of other code, and in the smaller one. */
const lineLengths = { usual: 92, small: 106 }

/**
 * A plugin of markdown-it: a block that is code by its indentation, such as a formula, looks and scrolls like the others. Outputs whose
 * lines are a little too long for their column have the class `small`, so that the columns of their tables stay below each other;
 * those with longer lines are sentences and have the class `prose`.
 */
export const indentedCode = (md: MarkdownRenderer) => {
  md.core.ruler.push('indented-code', ({ tokens }) => {
    for (const token of tokens) if (token.type === 'code_block') Object.assign(token, { type: 'fence', info: 'text' })
  })
  const fence = md.renderer.rules.fence!
  md.renderer.rules.fence = (...given) => {
    const [tokens, i] = given
    const longest = Math.max(...tokens[i].content.split('\n').map(({ length }) => length))
    const block = fence(...given)
    if (tokens[i].info !== 'text' || longest <= lineLengths.usual) return block
    return block.replace(
      'class="language-text',
      `class="language-text ${longest <= lineLengths.small ? 'small' : 'prose'}`,
    )
  }
}
