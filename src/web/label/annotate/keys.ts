/** What keys do on the labelling page. A project may give actions other keys (`settings.keys`, by the name of the action). */

type Row = { keys: string; does: string }

/** Keys of one action are separated by spaces. Names are those of KeyboardEvent.key, with Ctrl+ Alt+ Shift+ before them. */
export const actions = {
  submit: { keys: 'Enter Ctrl+Enter', does: 'Submit, and go on to the next task' },
  skip: { keys: 's', does: 'Skip the task, with a reason' },
  undo: { keys: 'z Ctrl+z', does: 'Undo the last change, then the last submit or skip' },
  next: { keys: 'j ArrowDown ArrowRight', does: 'Go to the next response' },
  previous: { keys: 'k ArrowUp ArrowLeft', does: 'Go to the response before' },
  moveUp: { keys: 'Alt+ArrowUp Alt+ArrowLeft', does: 'Move the response up (better)' },
  moveDown: { keys: 'Alt+ArrowDown Alt+ArrowRight', does: 'Move the response down (worse)' },
  clear: { keys: '0 Backspace', does: 'Take the rank, choice or rating away' },
  tie: { keys: 't', does: 'Tie with the response before' },
  better: { keys: 'e', does: 'Write a better answer' },
  note: { keys: 'n', does: 'Write a note' },
  allBad: { keys: 'x', does: 'All are bad' },
  accept: { keys: 'y', does: 'Accept what is there as it is' },
  good: { keys: 'g', does: 'Good; with selected text: mark it as good' },
  bad: { keys: 'b', does: 'Bad; with selected text: mark it as bad' },
  sentence: { keys: 'm', does: 'Select the next sentence of the response, to mark it' },
  compare: { keys: 'd', does: 'Show the differences between the responses' },
  expand: { keys: 'o', does: 'Open or fold long responses' },
  guidelines: { keys: 'i', does: 'Show or hide the guidelines' },
  help: { keys: '?', does: 'Show this help' },
} as const satisfies Record<string, Row>

export type Action = keyof typeof actions | `number${number}`

export type Keymap = ReadonlyMap<string, Action>

const modifiers = ['Ctrl', 'Alt', 'Shift']

/** `ctrl+Z` and `Ctrl+z` are one key; so are `S` and `s`, since Caps Lock must not stop anybody. */
const canonical = (key: string): string => {
  const parts = key === '+' ? ['+'] : key.split(/\+(?=.)/)
  const last = parts.at(-1)!
  const before = modifiers.filter((name) =>
    parts.slice(0, -1).some((part) => part.toLowerCase() === name.toLowerCase()),
  )
  return [...before, last.length === 1 ? last.toLowerCase() : last].join('+')
}

export const isAction = (name: string): name is keyof typeof actions => Object.hasOwn(actions, name)

/** Keys of an action as a project has them. */
export const keysOf = (action: keyof typeof actions, own: Readonly<Record<string, string>>): string[] =>
  (own[action] ?? actions[action].keys).split(' ').filter(Boolean).map(canonical)

/** Every key with its action. A key that a project gives to an action is taken from those that have it by default. */
export const keymapOf = (own: Readonly<Record<string, string>>): Keymap => {
  const keymap = new Map<string, Action>()
  for (let i = 0; i <= 9; i++) keymap.set(String(i), `number${i}`)
  const names = Object.keys(actions).filter(isAction)
  for (const name of [...names.filter((name) => !(name in own)), ...names.filter((name) => name in own)])
    for (const key of keysOf(name, own)) keymap.set(key, name)
  return keymap
}

export type Press = Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'>

/** What a key press means. Where digits need Shift, as in France, their keys count without it. */
export const actionOf = (keymap: Keymap, press: Press): Action | undefined => {
  const letter = press.key.length === 1
  const held = [(press.ctrlKey || press.metaKey) && 'Ctrl', press.altKey && 'Alt', press.shiftKey && !letter && 'Shift']
  const name = canonical([...held.filter((name) => name !== false), press.key].join('+'))
  const found = keymap.get(name)
  if (found || press.ctrlKey || press.metaKey || press.altKey) return found
  const digit = /^Digit(\d)$/.exec(press.code)?.[1]
  return digit === undefined ? undefined : keymap.get(digit)
}

const symbols: Record<string, string> = {
  ArrowUp: '↑',
  ArrowDown: '↓',
  ArrowLeft: '←',
  ArrowRight: '→',
  Enter: '↵',
  Backspace: '⌫',
}

/** A key as it is printed on a keyboard: Alt ↑, S. */
export const keyLabel = (key: string): string =>
  key
    .split(/\+(?=.)/)
    .map((part) => symbols[part] ?? (part.length === 1 ? part.toUpperCase() : part))
    .join(' ')
