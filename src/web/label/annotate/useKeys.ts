/** Listens to the keys of the labelling page. */
import { useEffect, useMemo, useRef, useState } from 'react'
import { isTyping, useHelp } from '../../ui/Help.tsx'
import { type Action, actionOf, actions, isAction, keyLabel, keymapOf, keysOf } from './keys.ts'

const storageKey = 'attune-single-keys'

/** Whether keys without Ctrl or Alt do something; kept in this browser, since they disturb some who speak to their machine. */
export const useSingleKeys = (): [boolean, (on: boolean) => void] => {
  const [on, setOn] = useState(() => localStorage.getItem(storageKey) !== 'off')
  const set = (next: boolean) => {
    localStorage.setItem(storageKey, next ? 'on' : 'off')
    setOn(next)
  }
  return [on, set]
}

/** Held down, these go on; any other acts once. */
const repeatable: readonly Action[] = ['next', 'previous', 'moveUp', 'moveDown']
/** Of the page, not of the task. */
const ofFields: readonly Action[] = ['submit']

type Options = {
  own: Readonly<Record<string, string>>
  single: boolean
  /** @returns false: it means nothing here, and the browser goes on with it */
  act(action: Action, event: KeyboardEvent): boolean
  /** Esc in a field. */
  leave(): void
  /** For the help: actions that this project has, and what digits do in its mode. */
  has(action: keyof typeof actions): boolean
  digits: readonly [keys: string, does: string] | undefined
}

/** @returns the label of an action's first key, for its button */
export const useKeys = ({ own, single, act, leave, has, digits }: Options) => {
  const keymap = useMemo(() => keymapOf(own), [own])
  const latest = useRef({ act, leave, keymap, single })
  latest.current = { act, leave, keymap, single }

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const { act, leave, keymap, single } = latest.current
      if (event.defaultPrevented || event.isComposing) return
      const { target } = event
      if (target instanceof Element && target.closest('[role=dialog],[role=alertdialog],[role=menu]')) return
      const plain = !(event.ctrlKey || event.metaKey || event.altKey)
      const inField =
        isTyping(event) && target instanceof Element && target.matches('input,textarea,select,[contenteditable]')
      if (inField && event.key === 'Escape') return leave()
      const action = actionOf(keymap, event)
      if (!action || (inField && (plain || !ofFields.includes(action)))) return
      if (!single && plain && event.key.length === 1) return
      // On a button or link that has the focus, Enter is for that
      if (event.key === 'Enter' && plain && target instanceof Element && target.closest('button,a,summary,select'))
        return
      if (event.repeat && !repeatable.includes(action)) return event.preventDefault()
      if (!act(action, event)) return
      event.preventDefault()
      event.stopPropagation()
    }
    addEventListener('keydown', onKey, { capture: true })
    return () => removeEventListener('keydown', onKey, { capture: true })
  }, [])

  const names = Object.keys(actions).filter(isAction).filter(has).join(' ')
  const [digitKeys, digitsDo] = digits ?? []
  const help = useMemo(
    () => ({
      title: 'Labelling',
      keys: [
        ...(digitKeys && digitsDo ? [[digitKeys, digitsDo] as const] : []),
        ...names
          .split(' ')
          .filter(isAction)
          .map((name) => [keysOf(name, own).map(keyLabel).join(', '), actions[name].does] as const),
      ],
    }),
    [names, own, digitKeys, digitsDo],
  )
  useHelp(help)
  return useMemo(() => {
    const label = (action: keyof typeof actions) => keyLabel(keysOf(action, own)[0] ?? '')
    return label
  }, [own])
}
