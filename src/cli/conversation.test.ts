import { describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import { chatCommand } from './commands/chat.ts'
import { makeConversation } from './conversation.ts'

const tokenizer = (await loadTokenizerFolder(fixture('models/stories260K')))!
const text = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true })

describe('a conversation', () => {
  it('leaves out its oldest exchanges when it grows too long, and the system message never', () => {
    const chat = makeConversation(tokenizer, { context: 64, reserved: 16, system: 'Be kind.' })
    for (let turn = 0; turn < 12; turn++) {
      chat.add('user', `Question ${turn}`)
      const { ids, dropped } = chat.prompt()
      expect(ids.length).toBeLessThanOrEqual(48)
      expect(dropped % 2).toBe(0)
      expect(text(ids)).toMatch(new RegExp(`^Be kind\\.\n.*Question ${turn}$`, 's'))
      if (turn === 11) expect(dropped).toBeGreaterThan(0)
      chat.add('assistant', `Answer ${turn}`)
    }
    expect(chat.messages).toHaveLength(25)
  })

  it('refuses a message that does not fit alone, which can be removed again', () => {
    const chat = makeConversation(tokenizer, { context: 64, reserved: 16 })
    chat.add('user', 'dog '.repeat(100))
    expect(() => chat.prompt()).toThrow('too long for a context of 64 tokens')
    chat.removeLast()
    chat.add('user', 'dog')
    expect(text(chat.prompt().ids)).toBe('dog')
  })

  it('says of an unknown command that there is none, before it lists those that there are', async () => {
    const chat = makeConversation(tokenizer, { context: 64, reserved: 16 })
    const said = async (line: string) => {
      const notes: string[] = []
      return [await chatCommand(line, chat, (note) => notes.push(note)), notes[0]]
    }
    expect(await said('/temperature 0')).toEqual([true, 'there is no /temperature; these are the commands'])
    expect(await said('/save')).toEqual([true, '/save needs the name of a file'])
    expect(await said('/help')).toEqual([true, expect.stringMatching(/^ {2}\/reset /)])
    expect(await said('What is 1/2?')).toEqual([false, undefined])
  })
})
