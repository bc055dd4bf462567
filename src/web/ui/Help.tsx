/** The keys of the page that is open, shown when somebody presses ? or the button of the top bar. */
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react'
import type { HelpPart } from './HelpDialog.tsx'

type HelpWindow = typeof import('./HelpDialog.tsx').default

type Help = { add(part: HelpPart): () => void; open(): void }

const HelpContext = createContext<Help>({ add: () => () => {}, open: () => {} })

/** Lists a page's keys in the help while the page is shown. @param part made outside of the component or by useMemo */
export const useHelp = (part: HelpPart): void => {
  const { add } = useContext(HelpContext)
  useEffect(() => add(part), [add, part])
}

export const useOpenHelp = (): (() => void) => useContext(HelpContext).open

const everywhere: HelpPart = {
  title: 'Everywhere',
  keys: [
    ['?', 'this help'],
    ['g h', 'go to the start'],
    ['g l', 'go to labels'],
    ['g r', 'go to runs'],
    ['g t', 'go to training'],
    ['g p', 'go to the playground'],
    ['g o', 'go to reports'],
    ['Esc', 'closes what lies over the page'],
  ],
}

export const HelpProvider = ({ children }: { children: ReactNode }) => {
  const [parts, setParts] = useState<readonly HelpPart[]>([])
  const [open, setOpen] = useState(false)
  const [HelpWindow, setHelpWindow] = useState<HelpWindow>()
  const help = useMemo<Help>(
    () => ({
      add(part) {
        setParts((before) => [...before, part])
        return () => setParts((before) => before.filter((other) => other !== part))
      },
      open: () => setOpen(true),
    }),
    [],
  )
  useEffect(() => {
    // Here before somebody asks for it, but after what the page itself needs
    const load = async () => {
      const { default: loaded } = await import('./HelpDialog.tsx')
      setHelpWindow(() => loaded)
    }
    const waiting = setTimeout(load, open ? 0 : 1000)
    return () => clearTimeout(waiting)
  }, [open])
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== '?' || isTyping(event) || event.defaultPrevented) return
      event.preventDefault()
      setOpen((before) => !before)
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
  return (
    <HelpContext value={help}>
      {children}
      {open && HelpWindow && <HelpWindow parts={[...parts, everywhere]} onClose={() => setOpen(false)} />}
    </HelpContext>
  )
}

/** Whether a key goes into a field, where it is text. For the keys of all pages. */
export const isTyping = ({ target, ctrlKey, metaKey, altKey }: KeyboardEvent): boolean =>
  ctrlKey ||
  metaKey ||
  altKey ||
  (target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) &&
    !(target instanceof HTMLInputElement && /^(checkbox|radio|button|range)$/.test(target.type)))
