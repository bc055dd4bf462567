/** Marks on the screen: what of a response is selected, and painting the marks that are there. */
import { useEffect, useMemo, useState } from 'react'
import type { Span } from '../../../studio/labels/api.ts'
import { type Alignment, align, sentencesOf, trimmed } from './spans.ts'

/** The text of an element as it is shown, and where its parts are. */
const shownText = (box: Element) => {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT)
  const parts: { node: Text; start: number }[] = []
  let text = ''
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    parts.push({ node: node as Text, start: text.length })
    text += node.nodeValue
  }
  return { text, parts }
}

type Shown = ReturnType<typeof shownText>

const rangeOf = ({ parts, text }: Shown, start: number, end: number): Range | undefined => {
  if (end <= start || parts.length === 0) return undefined
  const first = parts.findLast((part) => part.start <= Math.min(start, text.length - 1))!
  const last = parts.findLast((part) => part.start < end)!
  const range = document.createRange()
  range.setStart(first.node, Math.min(start - first.start, first.node.length))
  range.setEnd(last.node, Math.min(end - last.start, last.node.length))
  return range
}

const alignments = new WeakMap<Element, { source: string; text: string; alignment: Alignment }>()

/** Comparing takes some milliseconds for long texts, so it is done once for each. */
const alignmentOf = (box: Element, source: string, { text }: Shown): Alignment => {
  const known = alignments.get(box)
  if (known?.source === source && known.text === text) return known.alignment
  const alignment = align(source, text)
  alignments.set(box, { source, text, alignment })
  return alignment
}

/** Where the selection lies in the source of the response that `box` shows; undefined when it lies elsewhere. */
export const selectedPart = (box: Element, source: string): { start: number; end: number } | undefined => {
  const selection = getSelection()
  if (!selection || selection.isCollapsed || selection.rangeCount === 0) return undefined
  const range = selection.getRangeAt(0)
  if (!box.contains(range.startContainer) || !box.contains(range.endContainer)) return undefined
  const shown = shownText(box)
  const before = document.createRange()
  before.selectNodeContents(box)
  before.setEnd(range.startContainer, range.startOffset)
  const start = before.toString().length
  const part = trimmed(shown.text, start, start + range.toString().length)
  if (!part) return undefined
  const alignment = alignmentOf(box, source, shown)
  const found = { start: alignment.toSource(part.start, 'start'), end: alignment.toSource(part.end, 'end') }
  return found.end > found.start ? found : undefined
}

/** Selects the sentence after the one that is selected; the first one when none is, or after the last. */
export const selectNextSentence = (box: Element): string => {
  const shown = shownText(box)
  const sentences = sentencesOf(shown.text)
  const selection = getSelection()
  if (!selection || sentences.length === 0) return ''
  let from = -1
  if (!selection.isCollapsed && box.contains(selection.anchorNode)) {
    const before = document.createRange()
    before.selectNodeContents(box)
    before.setEnd(selection.getRangeAt(0).startContainer, selection.getRangeAt(0).startOffset)
    from = before.toString().length
  }
  const { start, end } = sentences.find((sentence) => sentence.start > from) ?? sentences[0]
  const range = rangeOf(shown, start, end)
  if (!range) return ''
  selection.removeAllRanges()
  selection.addRange(range)
  range.startContainer.parentElement?.scrollIntoView({ block: 'nearest' })
  return shown.text.slice(start, end)
}

const canPaint = typeof Highlight === 'function' && 'highlights' in CSS

/** Adds ranges to the page's two kinds of highlights. @returns takes them away */
const paint = (ranges: readonly { range: Range; mark: Span['mark'] }[]) => {
  for (const { range, mark } of ranges) {
    const name = `mark-${mark}`
    if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight())
    CSS.highlights.get(name)!.add(range)
  }
  return () => {
    for (const { range, mark } of ranges) CSS.highlights.get(`mark-${mark}`)?.delete(range)
  }
}

/** Paints marks over the text of a response, however it is rendered: the text itself is not changed. */
export const usePaintedMarks = (box: HTMLElement | null, source: string, spans: readonly Span[], visible: boolean) => {
  const key = useMemo(() => JSON.stringify(spans), [spans])
  useEffect(() => {
    if (!canPaint || !box || !visible || key === '[]') return
    let erase = () => {}
    const draw = () => {
      erase()
      const shown = shownText(box)
      const alignment = alignmentOf(box, source, shown)
      const ranges = (JSON.parse(key) as Span[]).flatMap(({ start, end, mark }) => {
        const range = rangeOf(shown, alignment.toShown(start, 'start'), alignment.toShown(end, 'end'))
        return range ? [{ range, mark }] : []
      })
      erase = paint(ranges)
    }
    draw()
    // Formulas are rendered a moment after the text
    const observer = new MutationObserver(draw)
    observer.observe(box, { childList: true, subtree: true })
    return () => {
      observer.disconnect()
      erase()
    }
  }, [box, source, key, visible])
}

/** The response in which text is selected, as the element that shows its text. */
export const selectedBox = (): Element | undefined => {
  const selection = getSelection()
  if (!selection || selection.isCollapsed || selection.rangeCount === 0) return undefined
  const node = selection.getRangeAt(0).commonAncestorContainer
  return (node instanceof Element ? node : node.parentElement)?.closest('[data-markable]') ?? undefined
}

/** Where the selection is on the screen, while it lies in a response; for the buttons beside it. */
export const useSelection = (enabled: boolean): { left: number; top: number } | undefined => {
  const [place, setPlace] = useState<{ left: number; top: number }>()
  useEffect(() => {
    if (!enabled) return
    const update = () => {
      if (!selectedBox()) return setPlace(undefined)
      const { left, bottom } = getSelection()!.getRangeAt(0).getBoundingClientRect()
      setPlace({ left, top: bottom })
    }
    document.addEventListener('selectionchange', update)
    addEventListener('scroll', update, { passive: true })
    return () => {
      document.removeEventListener('selectionchange', update)
      removeEventListener('scroll', update)
    }
  }, [enabled])
  return place
}
