/**
 * Markdown of models and people, who may be hostile: no HTML of theirs, no picture that would ask another server for
 * something, links only to the web and to mail, all sanitised again. The one place of the page that sets innerHTML.
 */
import DOMPurify from 'dompurify'
import MarkdownIt from 'markdown-it'
import { useEffect, useMemo, useRef } from 'react'
import { addMaths } from './maths.ts'
import './prose.css'

const linkable = /^(?:https?:|mailto:)/i
const picture = /^data:image\/(?:png|jpeg|gif|webp);base64,/i
/** Longer texts are shown as they are. */
const longest = 200_000

const makeMarkdown = () => {
  const markdown = new MarkdownIt({ html: false, linkify: false, breaks: true })
  markdown.validateLink = (url) => linkable.test(url.trim()) || picture.test(url.trim())
  addMaths(markdown)
  const { rules } = markdown.renderer
  const image = rules.image!
  rules.image = (tokens, i, options, env, self) => {
    const source = String(tokens[i].attrGet('src') ?? '')
    if (picture.test(source)) return image(tokens, i, options, env, self)
    return `<span class="no-picture">picture: ${markdown.utils.escapeHtml(tokens[i].content || source)}</span>`
  }
  // The content security policy allows no style attribute, in which markdown-it puts how a column is aligned
  for (const cell of ['th_open', 'td_open'])
    rules[cell] = (tokens, i, options, _, self) => {
      const align = /text-align:(\w+)/.exec(String(tokens[i].attrGet('style')))?.[1]
      tokens[i].attrs = align ? [['class', `align-${align}`]] : null
      return self.renderToken(tokens, i, options)
    }
  return markdown
}

const makePurifier = () => {
  const purifier = DOMPurify(window)
  purifier.addHook('afterSanitizeAttributes', (node) => {
    if (node.nodeName === 'A') {
      if (!linkable.test(node.getAttribute('href') ?? '')) node.removeAttribute('href')
      node.setAttribute('rel', 'noopener noreferrer')
      node.setAttribute('target', '_blank')
    }
    if (node.nodeName === 'IMG' && !picture.test(node.getAttribute('src') ?? '')) node.remove()
    // Code can be wider than the page: it scrolls, by keyboard too
    if (node.nodeName === 'PRE') node.setAttribute('tabindex', '0')
  })
  return purifier
}

const markdown = makeMarkdown()
const purifier = makePurifier()

const rendered = (text: string): string =>
  purifier.sanitize(markdown.render(text), {
    USE_PROFILES: { html: true },
    ALLOW_DATA_ATTR: false,
    FORBID_ATTR: ['style', 'id', 'name'],
    FORBID_TAGS: ['style', 'form', 'input', 'button', 'video', 'audio'],
  })

/** @param className beside `prose` */
export const Markdown = ({ text, className = '' }: { text: string; className?: string }) => {
  const box = useRef<HTMLDivElement>(null)
  const html = useMemo(() => (text.length > longest ? undefined : rendered(text)), [text])
  useEffect(() => {
    if (html && box.current) return renderMaths(box.current)
  }, [html])
  if (html === undefined)
    return (
      <div className={`prose plain ${className}`} dir="auto">
        {text}
      </div>
    )
  // Sanitised above
  return <div ref={box} className={`prose ${className}`} dir="auto" dangerouslySetInnerHTML={{ __html: html }} />
}

/** Replaces the TeX in the elements that maths.ts made by MathML; what KaTeX cannot read stays as it was written. */
const renderMaths = (box: HTMLElement) => {
  const places = box.querySelectorAll<HTMLElement>('.maths')
  if (places.length === 0) return
  let here = true
  void import('katex').then(({ default: katex }) => {
    if (!here) return
    for (const place of places) {
      try {
        const mathMl = katex.renderToString(place.textContent ?? '', {
          output: 'mathml',
          displayMode: place.classList.contains('display'),
          strict: 'ignore',
          trust: false,
          maxExpand: 500,
          maxSize: 20,
        })
        place.replaceChildren(
          purifier.sanitize(mathMl, {
            USE_PROFILES: { html: true, mathMl: true },
            ADD_TAGS: ['semantics', 'annotation'],
            ADD_ATTR: ['encoding'],
            FORBID_ATTR: ['style', 'id'],
            RETURN_DOM_FRAGMENT: true,
          }),
        )
      } catch {
        place.classList.add('unread')
      }
    }
  })
  return () => {
    here = false
  }
}
