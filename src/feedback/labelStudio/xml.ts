/** XML from a stranger as a tree with line numbers, with limits on its size and depth. Nothing is fetched, and no entity is declared. */
import { SaxesParser } from 'saxes'
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'

export type Element = {
  /** As written; compare `name`, which is in small letters, as Label Studio does. */
  tag: string
  name: string
  /** By their names in small letters. */
  attributes: Record<string, string>
  children: Element[]
  /** Text and CDATA directly inside, put together. */
  text: string
  line: number
}

const maxCharacters = 256 * 1024
const maxDepth = 40
const maxElements = 2000

/** @param file its name in messages. @throws Fault 'bad-template' with the line */
export const parseXml = (text: string, file?: string): Element => {
  const refuse = (message: string, line?: number): never => {
    throw badInput('bad-template', message, { file, line })
  }
  if (text.length > maxCharacters)
    refuse(`the template has ${text.length} characters; at most ${maxCharacters} are read`)
  const parser = new SaxesParser({ position: true })
  let root: Element | undefined
  const open: Element[] = []
  let elements = 0
  let startLine = 1
  parser.on('error', (error) => refuse(`is not XML: ${error.message.replace(/^\d+:\d+: /, '')}`, parser.line))
  parser.on('doctype', () => refuse('has a DOCTYPE, which is not read; remove it', parser.line))
  parser.on('opentagstart', () => {
    startLine = parser.line
  })
  parser.on('opentag', ({ name, attributes }) => {
    if (++elements > maxElements) refuse(`has more than ${maxElements} tags`, startLine)
    if (open.length >= maxDepth) refuse(`nests tags deeper than ${maxDepth} levels`, startLine)
    const own: Element['attributes'] = Object.create(null)
    for (const [key, value] of Object.entries(attributes)) own[key.toLowerCase()] = value
    const element: Element = {
      tag: name,
      name: name.toLowerCase(),
      attributes: own,
      children: [],
      text: '',
      line: startLine,
    }
    open.at(-1)?.children.push(element)
    root ??= element
    open.push(element)
  })
  parser.on('closetag', () => void open.pop())
  const add = (more: string) => {
    const last = open.at(-1)
    if (last) last.text += more
  }
  parser.on('text', add)
  parser.on('cdata', add)
  parser.write(text.replace(/^\uFEFF/, '')).close()
  return root ?? refuse('is empty; a template begins with <View>')
}

/** Text for an attribute's value. Characters that XML cannot hold are left out. */
export const attributeText = (value: string): string =>
  withoutControls(value)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('"', '&quot;')
    .replace(/[\n\r\t]/g, (space) => `&#${space.charCodeAt(0)};`)

const withoutControls = (text: string) => text.replace(/[^\P{Cc}\t\n\r]|\p{Cs}|[\ufffe\uffff]/gu, '')

/** "Ranker on line 12" */
export const placeOf = ({ tag, attributes, line }: Element): string =>
  `${tag}${attributes.name ? ` ${quoted(attributes.name)}` : ''} on line ${line}`
