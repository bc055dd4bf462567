/** Keys of the labelling page. */
import { describe, expect, it } from 'vitest'
import { actionOf, keyLabel, keymapOf, keysOf, type Press } from './keys.ts'

const press = (key: string, rest: Partial<Press> = {}): Press => ({
  key,
  code: '',
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...rest,
})

describe('keys', () => {
  const keymap = keymapOf({})

  it.each([
    ['Enter', {}, 'submit'],
    ['S', { shiftKey: true }, 'skip'],
    ['z', { metaKey: true }, 'undo'],
    ['z', {}, 'undo'],
    ['ArrowUp', { altKey: true }, 'moveUp'],
    ['ArrowUp', {}, 'previous'],
    ['3', {}, 'number3'],
    ['0', {}, 'clear'],
    ['?', { shiftKey: true }, 'help'],
    ['c', { ctrlKey: true }, undefined],
    ['r', { ctrlKey: true }, undefined],
    ['1', { ctrlKey: true }, undefined],
  ] as const)('%s with %o mean %s', (key, rest, action) => {
    expect(actionOf(keymap, press(key, rest))).toBe(action)
  })

  it('of digits count without Shift where the layout asks for it', () => {
    expect(actionOf(keymap, press('&', { code: 'Digit1' }))).toBe('number1')
    expect(actionOf(keymap, press('&', { code: 'Digit1', ctrlKey: true }))).toBe(undefined)
  })

  it('may be others in a project, and then are taken from the action that had them', () => {
    const own = { skip: 'j', moveUp: 'shift+ArrowUp' }
    const changed = keymapOf(own)
    expect(actionOf(changed, press('j'))).toBe('skip')
    expect(actionOf(changed, press('s'))).toBe(undefined)
    expect(actionOf(changed, press('ArrowDown'))).toBe('next')
    expect(actionOf(changed, press('ArrowUp', { shiftKey: true }))).toBe('moveUp')
    expect(keysOf('moveUp', own)).toEqual(['Shift+ArrowUp'])
  })

  it('are shown as they are printed', () => {
    expect(['s', 'Alt+ArrowUp', 'Enter', '?'].map(keyLabel)).toEqual(['S', 'Alt ↑', '↵', '?'])
  })
})
