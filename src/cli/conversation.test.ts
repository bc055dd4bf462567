import { describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import { conversation } from './conversation.ts'

const tokenizer = (await loadTokenizerFolder(fixture('models/stories260K')))!
const text = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true })

describe('a conversation', () => {
  it('leaves out its oldest exchanges when it grows too long, and the system message never', () => {
    const talk = conversation(tokenizer, { context: 64, room: 16, system: 'Be kind.' })
    for (let turn = 0; turn < 12; turn++) {
      talk.add('user', `Question ${turn}`)
      const { ids, dropped } = talk.prompt()
      expect(ids.length).toBeLessThanOrEqual(48)
      expect(dropped % 2).toBe(0)
      expect(text(ids)).toMatch(new RegExp(`^Be kind\\.\n.*Question ${turn}$`, 's'))
      if (turn === 11) expect(dropped).toBeGreaterThan(0)
      talk.add('assistant', `Answer ${turn}`)
    }
    expect(talk.messages).toHaveLength(25)
  })

  it('refuses a message that does not fit alone, which can be taken back', () => {
    const talk = conversation(tokenizer, { context: 64, room: 16 })
    talk.add('user', 'dog '.repeat(100))
    expect(() => talk.prompt()).toThrow('too long for a context of 64 tokens')
    talk.undo()
    talk.add('user', 'dog')
    expect(text(talk.prompt().ids)).toBe('dog')
  })
})
