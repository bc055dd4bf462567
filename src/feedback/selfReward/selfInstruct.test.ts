import { describe, expect, it } from 'vitest'
import { askForTask, blockedWords, drawShots, promptFilter, shotCounts, tasksIn } from './selfInstruct.ts'

describe('tasksIn', () => {
  it.each([
    [' Name three rivers.', ['Name three rivers.']],
    [' Name three rivers.\nTask 10: Explain tides.', ['Name three rivers.', 'Explain tides.']],
    ['Task 9: Explain tides.\n\nThe moon pulls the sea.', ['Explain tides.']],
    ['Sure, here is one:\n\nTask 9: Explain tides.', ['Explain tides.']],
    ['**Task 9:** Explain tides.', ['Explain tides.']],
    ['Write two lines:\none\ntwo', ['Write two lines:\none\ntwo']],
    ['\n\n', []],
  ])('%j', (text, tasks) => {
    expect(tasksIn(text).map(({ task }) => task)).toEqual(tasks)
  })

  it('leaves out the sentence that a limit cut, and calls a task cut that has no other', () => {
    expect(tasksIn('Name a river. Say where it', true)).toEqual([{ task: 'Name a river.' }])
    expect(tasksIn('Name a river and say where', true)).toEqual([{ task: 'Name a river and say where', cut: true }])
    expect(tasksIn('One two.\nTask 10: Name a', true)).toEqual([{ task: 'One two.' }, { task: 'Name a', cut: true }])
    // The task had ended before the limit
    expect(tasksIn('Name a river\n\nThe Rhine is', true)).toEqual([{ task: 'Name a river' }])
  })
})

describe('drawShots', () => {
  const seeds = Array.from({ length: 20 }, (_, i) => `seed ${i}`)
  const own = Array.from({ length: 9 }, (_, i) => `own ${i}`)
  const draw = (attempt: number, generated: readonly string[] = own) =>
    drawShots(seeds, generated, { seed: 1, stream: 1, attempt })
  const ofPeople = (shots: readonly string[]) => shots.filter((shot) => shot.startsWith('seed')).length

  it('takes six tasks of people and two of the model, all different, mixed', () => {
    const all = Array.from({ length: 50 }, (_, attempt) => draw(attempt))
    for (const shots of all) {
      expect(new Set(shots).size).toBe(8)
      expect(ofPeople(shots)).toBe(shotCounts.seed)
    }
    expect(new Set(all.map((shots) => shots.findIndex((shot) => shot.startsWith('own')))).size).toBeGreaterThan(3)
    expect(draw(3)).toEqual(draw(3))
    expect(draw(3)).not.toEqual(draw(4))
  })

  it('takes more of people while the model has written fewer, and as many as there are', () => {
    expect(ofPeople(draw(0, []))).toBe(8)
    expect(ofPeople(draw(0, own.slice(0, 1)))).toBe(7)
    expect(drawShots(seeds.slice(0, 3), [], { seed: 1, stream: 1, attempt: 0 })).toHaveLength(3)
  })

  it('are asked for by their numbers', () => {
    const text = askForTask(['Name a river.', 'Explain tides. '], 'Tasks:\n{tasks}\n')
    expect(text.endsWith('Task 1: Name a river.\nTask 2: Explain tides.\nTask 3:')).toBe(true)
  })
})

describe('promptFilter', () => {
  const filter = promptFilter(blockedWords)
  filter.add('Write a short story about a brave little dog.')

  it.each([
    ['Name three rivers', 'too-short', undefined],
    [Array(151).fill('word').join(' '), 'too-long', undefined],
    ['Describe the Image that I sent.', 'blocked-word', 'image'],
    ['Write a short story about a brave little cat.', 'similar', 'Write a short story about a brave little dog.'],
  ])('%j: %s', (prompt, rejected, because) => {
    expect(filter.verdict(prompt)).toEqual({ rejected, ...(because && { because }) })
  })

  it.each([
    'Name three long rivers.',
    // "imagery" is another word than "image"
    'Explain the imagery of this poem.',
    // Five of eight tokens in order are 0.625 of both
    'Write a short story concerning some tall horses.',
    Array.from({ length: 150 }, (_, i) => `word${i}`).join(' '),
  ])('keeps %j', (prompt) => {
    expect(filter.verdict(prompt)).toEqual({})
  })

  it('knows the same prompt again in a script that ROUGE has no tokens for', () => {
    const prompts = promptFilter([])
    prompts.add('Расскажи мне о реках')
    expect(prompts.verdict('Расскажи мне о реках').rejected).toBe('similar')
    expect(prompts.verdict('Расскажи мне о горах')).toEqual({})
  })
})
