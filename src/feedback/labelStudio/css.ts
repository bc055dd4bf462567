/**
 * CSS from a stranger, made harmless: parsed, and rebuilt from selectors, properties and functions that are known. What is left
 * loads nothing, runs nothing, and cannot place anything over the page around it. The page that adopts it limits it to the task.
 */
import { type CssNode, type Declaration, generate, lexer, parse, type Rule, walk } from 'css-tree'

export type CleanCss = {
  css: string
  /** What was left out, such as "background: url(...)". */
  leftOut: string[]
}

const maxCharacters = 64 * 1024
const maxRules = 500

/** Boxes, text and colour. No position, z-index, content, cursor, animation, filter, nor images. */
const properties = new Set(
  `align-content align-items align-self background background-color border border-bottom border-bottom-color
  border-bottom-left-radius border-bottom-right-radius border-bottom-style border-bottom-width border-collapse border-color
  border-left border-left-color border-left-style border-left-width border-radius border-right border-right-color
  border-right-style border-right-width border-spacing border-style border-top border-top-color border-top-left-radius
  border-top-right-radius border-top-style border-top-width border-width box-shadow box-sizing clear color column-count
  column-gap direction display flex flex-basis flex-direction flex-flow flex-grow flex-shrink flex-wrap float font font-family
  font-size font-style font-variant font-weight gap grid-column grid-gap grid-row grid-template-columns grid-template-rows
  height hyphens justify-content justify-items justify-self letter-spacing line-height list-style-type margin margin-bottom
  margin-left margin-right margin-top max-height max-width min-height min-width opacity order outline outline-color
  outline-offset outline-style outline-width overflow overflow-wrap overflow-x overflow-y padding padding-bottom padding-left
  padding-right padding-top row-gap tab-size table-layout text-align text-decoration text-indent text-overflow text-shadow
  text-transform transform transform-origin transition transition-delay transition-duration transition-property
  transition-timing-function unicode-bidi user-select vertical-align visibility white-space width word-break word-spacing
  word-wrap writing-mode`.split(/\s+/),
)

const functions = new Set(
  `rgb rgba hsl hsla hwb lab lch oklab oklch calc min max clamp translate translatex translatey scale scalex scaley rotate skew
  skewx skewy linear-gradient radial-gradient cubic-bezier steps minmax repeat fit-content`.split(/\s+/),
)

const pseudoClasses = new Set(
  'hover focus focus-visible focus-within active first-child last-child only-child nth-child nth-last-child first-of-type last-of-type nth-of-type empty'.split(
    ' ',
  ),
)
const selectorNodes = new Set([
  'SelectorList',
  'Selector',
  'ClassSelector',
  'IdSelector',
  'TypeSelector',
  'Combinator',
  'PseudoClassSelector',
  'Nth',
  'AnPlusB',
  'Identifier',
])
const valueNodes = new Set([
  'Value',
  'Identifier',
  'Number',
  'Dimension',
  'Percentage',
  'Hash',
  'Operator',
  'Function',
  'Parentheses',
  'String',
])

export const cleanCss = (text: string): CleanCss => {
  const leftOut: string[] = []
  const drop = (what: string) => void leftOut.push(what.replace(/\s+/g, ' ').slice(0, 80))
  if (text.length > maxCharacters) return { css: '', leftOut: [`a style sheet of ${text.length} characters`] }
  const sheet = parse(text, { parseCustomProperty: true, onParseError: () => {} })
  const kept: string[] = []
  if (sheet.type === 'StyleSheet')
    sheet.children.forEach((node) => {
      if (node.type === 'Comment' || node.type === 'WhiteSpace' || node.type === 'CDO' || node.type === 'CDC') return
      if (node.type !== 'Rule') drop(node.type === 'Atrule' ? `@${node.name}` : generate(node))
      else if (kept.length >= maxRules) drop(`more than ${maxRules} rules`)
      else {
        const rule = cleanRule(node, drop)
        if (rule) kept.push(rule)
      }
    })
  return { css: kept.join('\n'), leftOut }
}

const cleanRule = (rule: Rule, drop: (what: string) => void): string | undefined => {
  const selector = generate(rule.prelude)
  if (!isPlainSelector(rule.prelude, selector)) {
    drop(selector)
    return undefined
  }
  const kept: string[] = []
  rule.block.children.forEach((node) => {
    if (node.type === 'Declaration' && isPlain(node)) kept.push(generate(node))
    else if (node.type !== 'Comment' && node.type !== 'WhiteSpace') drop(generate(node))
  })
  return kept.length ? `${selector}{${kept.join(';')}}` : undefined
}

/** A backslash may hide a name from whoever looks for it, so nothing that is kept holds one. */
const hides = (written: string) => /[\\<]|\/\*/.test(written)

const isPlainSelector = (prelude: CssNode, written: string): boolean => {
  let plain = prelude.type === 'SelectorList' && !hides(written)
  walk(prelude, (node) => {
    if (!selectorNodes.has(node.type)) plain = false
    if (node.type === 'PseudoClassSelector' && !pseudoClasses.has(node.name.toLowerCase())) plain = false
  })
  return plain
}

const isPlain = (declaration: Declaration): boolean => {
  const { property, value } = declaration
  if (!properties.has(property.toLowerCase()) || value.type !== 'Value' || hides(generate(declaration))) return false
  let plain = true
  walk(value, (node) => {
    if (!valueNodes.has(node.type)) plain = false
    if (node.type === 'Function' && !functions.has(node.name.toLowerCase())) plain = false
  })
  return plain && lexer.matchProperty(property, value).error === null
}
