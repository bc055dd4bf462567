/**
 * A labelling template of Label Studio (its XML) read as what it asks. Tags that attune has nothing for are refused with their
 * line.
 */
import { quoted } from '../../util/quote.ts'
import { cleanCss } from './css.ts'
import type { Template } from './template.ts'
import { asked } from './templateAsked.ts'
import { collect, type Found, fault } from './templateTags.ts'
import { parseXml } from './xml.ts'

/** @throws Fault 'bad-template' for what is no XML, and for a tag or attribute that cannot be honoured, with its line */
export const parseTemplate = (xml: string, file?: string): Template => {
  const root = parseXml(xml, file)
  const found: Found = { headers: [], styles: [], texts: [], lists: [], controls: [], leftOut: [], file }
  if (root.name !== 'view') throw fault(found, root, 'is the outermost tag, where View must be')
  collect(root, found, undefined)
  const names = new Set<string>()
  for (const { name, element } of [
    ...found.texts.map((text) => ({ name: text.name, element: root })),
    ...found.lists,
    ...found.controls,
  ]) {
    if (names.has(name)) throw fault(found, element, `has a second tag named ${quoted(name)}; names must differ`)
    names.add(name)
  }
  const { css, leftOut } = cleanCss(found.styles.join('\n'))
  // A header that repeats the name of a control is its caption
  const headers = found.headers.filter((text) => !found.controls.some(({ name }) => name === text))
  return {
    ...asked(found, root),
    ...(headers.length && { title: headers[0] }),
    guidelines: headers.slice(1),
    css,
    leftOut: [...found.leftOut, ...leftOut.map((what) => `style ${quoted(what)}`)],
  }
}
