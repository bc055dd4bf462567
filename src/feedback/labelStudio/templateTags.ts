/** The tags of a template by what they are: texts and lists that show data, controls that ask. What attune has nothing for is refused. */
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import type { Shown, Template } from './template.ts'
import { type Element, placeOf } from './xml.ts'

export type Control = { element: Element; name: string; to: string }
export type Found = {
  headers: string[]
  styles: string[]
  texts: Shown[]
  lists: (NonNullable<Template['list']> & { element: Element })[]
  controls: Control[]
  leftOut: string[]
  file?: string
}

export const fault = (found: { file?: string }, element: Element, message: string) =>
  badInput('bad-template', `${placeOf(element)} ${message}`, { file: found.file, line: element.line })

/** Attributes that change how a tag looks, or what this page does by itself. */
const forLooks = new Set(
  `name value toname title classname style size underline selectiontype granularity highlightcolor showlabels required
  requiredmessage placeholder rows editable maxsubmissions showsubmitbutton skipduplicates showinline layout hotkey alias hint
  background selected default icon leftclass rightclass selectionstyle choice maxrating defaultvalue savetextresult
  collapsible axis idattr tag hidden showlabel html selectionenabled encoding allownested sortable`.split(/\s+/),
)
/** Of these the page shows nothing, and says so. */
const withoutEffect = new Set([
  'style',
  'hotkey',
  'required',
  'selected',
  'defaultvalue',
  'icon',
  'background',
  'hint',
  'hidden',
])

export const checkAttributes = (element: Element, found: Found) => {
  for (const [key, value] of Object.entries(element.attributes)) {
    if (!forLooks.has(key))
      throw fault(found, element, `has the attribute ${quoted(key)}, which attune cannot honour; remove it`)
    if (withoutEffect.has(key) && !(element.name === 'bucket'))
      found.leftOut.push(`${key}=${quoted(value.slice(0, 40))} of ${placeOf(element)}`)
  }
}

export const nameOf = (element: Element, found: Found): string => {
  const { name } = element.attributes
  if (!name) throw fault(found, element, 'needs a name')
  return name
}

export const collect = (element: Element, found: Found, around: string | undefined) => {
  checkAttributes(element, found)
  const className = element.attributes.classname ?? around
  switch (element.name) {
    case 'view':
      for (const child of element.children) collect(child, found, className)
      return
    case 'style':
      found.styles.push(element.text)
      return
    case 'header':
      return header(element, found)
    case 'text':
    case 'hypertext':
      return text(element, found, className)
    case 'list':
      return list(element, found, className)
    case 'ranker':
    case 'pairwise':
    case 'rating':
    case 'choices':
    case 'textarea':
      found.controls.push({ element, name: nameOf(element, found), to: element.attributes.toname ?? '' })
      if (!element.attributes.toname) throw fault(found, element, 'needs toName')
      return
    default:
      throw fault(
        found,
        element,
        'is a tag that attune has nothing for; it knows View, Style, Header, Text, HyperText, List, Ranker, Bucket, Pairwise, Rating, Choices, Choice and TextArea',
      )
  }
}

const header = (element: Element, found: Found) => {
  const value = (element.attributes.value ?? element.text).trim()
  if (value.startsWith('$')) found.leftOut.push(`${placeOf(element)}, whose text differs from task to task`)
  else if (value) found.headers.push(value)
}

/** The key that a value such as $prompt names. */
const keyOf = (element: Element, found: Found): string | undefined => {
  const value = element.attributes.value ?? ''
  if (!value.startsWith('$')) return undefined
  if (!/^\$[\w-]+$/.test(value))
    throw fault(found, element, `shows ${quoted(value)}; attune reads plain keys such as $prompt`)
  return value.slice(1)
}

const text = (element: Element, found: Found, className: string | undefined) => {
  const key = keyOf(element, found)
  if (key === undefined) {
    const fixed = (element.attributes.value ?? element.text).trim()
    if (fixed) found.headers.push(fixed)
    return
  }
  const name = nameOf(element, found)
  found.texts.push({ name, key, ...(className && { className }) })
}

/** Inside of a list, views and texts show the parts of an item: $title and $body, or others of its keys. */
const list = (element: Element, found: Found, className: string | undefined) => {
  const key = keyOf(element, found)
  if (key === undefined) throw fault(found, element, 'needs a value such as $items')
  const classes: NonNullable<Template['list']>['classes'] = {}
  const parts: string[] = []
  const inside = (child: Element) => {
    checkAttributes(child, found)
    if (child.name === 'view') {
      if (child.attributes.classname) classes.item ??= child.attributes.classname
      child.children.forEach(inside)
    } else if (child.name === 'text' || child.name === 'hypertext') {
      const part = keyOf(child, found)
      if (part !== 'title' && part !== 'body')
        throw fault(found, child, 'is inside of a List, whose items have $title and $body only')
      if (!parts.includes(part)) parts.push(part)
      if (child.attributes.classname) classes[part] = child.attributes.classname
    } else throw fault(found, child, 'cannot be inside of a List')
  }
  element.children.forEach(inside)
  const { title } = element.attributes
  found.lists.push({
    element,
    name: nameOf(element, found),
    key,
    ...(className && { className }),
    ...(title && { title }),
    parts,
    classes,
  })
}
