/** Rows of critiques and comparisons: what is dropped and why, what is kept as a row, and what is counted. */
import { describe, expect, it } from 'vitest'
import {
  comparisonOf,
  countPairs,
  isConsistent,
  type Pair,
  pairDropReasonOf,
  preferenceRow,
  probabilityOf,
} from './preference.ts'
import {
  countTranscripts,
  dropReasonOf,
  isOpen,
  keepable,
  sameText,
  sftRow,
  type Transcript,
  withResult,
} from './transcript.ts'

const prompt = [{ role: 'user', content: 'Hello' }]
const text = (words: string, cut = false) => ({ text: words, cut })
const begun: Transcript = { row: 0, prompt, rounds: [] }

/** A transcript of one round by its texts, as far as they are given. */
const written = (response: string, critique?: string, revision?: string, cut = false): Transcript => {
  const answered = withResult(begun, 'response', text(response))
  if (critique === undefined) return answered
  const criticised = withResult({ ...answered, rounds: [{ principle: 'kind' }] }, 'critique', text(critique))
  return revision === undefined ? criticised : withResult(criticised, 'revision', text(revision, cut))
}

describe('a transcript', () => {
  it.each<[string, Transcript, string | undefined]>([
    ['not begun', begun, undefined],
    ['an empty response', written(''), 'empty-response'],
    ['an empty critique', written('a', ''), 'empty-critique'],
    ['an empty revision', written('a', 'b', ''), 'empty-revision'],
    ['a cut revision', written('a', 'b', 'c', true), 'cut'],
    ['a revision that changes white space', written('a  b', 'x', 'a\nb'), 'unchanged'],
    ['a changed revision', written('a', 'b', 'c'), undefined],
    ['a failed call', withResult(begun, 'response', { code: 'endpoint', message: 'down' }), 'failed'],
    ['too long a prompt', withResult(begun, 'response', { code: 'prompt-too-long', message: 'long' }), 'too-long'],
  ])('with %s', (_, transcript, reason) => {
    expect(dropReasonOf(transcript)).toBe(reason)
  })

  it('goes on in the next round, unless something is empty or failed', () => {
    expect(isOpen(written('a', 'b', 'a'))).toBe(true)
    expect(isOpen(written('a', 'b', 'c', true))).toBe(true)
    expect(isOpen(written('a', 'b', ''))).toBe(false)
    expect(isOpen(withResult(written('a'), 'critique', { code: 'endpoint', message: '' }))).toBe(false)
  })

  it('is kept all the same where that is asked', () => {
    expect(dropReasonOf(written('a', 'b', 'a', true), ['cut'])).toBe('unchanged')
    expect(dropReasonOf(written('a', 'b', 'a', true), keepable)).toBeUndefined()
    expect(dropReasonOf(written('a', 'b', ''), keepable)).toBe('empty-revision')
  })

  it('gives the prompt and the last revision, as the model was asked', () => {
    const twice = withResult(
      withResult(
        { ...written('a', 'b', 'c'), rounds: [...written('a', 'b', 'c').rounds, { principle: 'x' }] },
        'critique',
        text('d'),
      ),
      'revision',
      text('e'),
    )
    expect(sftRow('chat', twice)).toEqual({ prompt, completion: 'e' })
    expect(sftRow('text', twice)).toEqual({ prompt: '\n\nHuman: Hello\n\nAssistant:', completion: ' e' })
    expect(sftRow('chat', { ...twice, dropped: 'cut' })).toBeUndefined()
  })

  it('is counted by reason and by principle', () => {
    const all = [written('a b', 'x', 'c'), written('a', 'x', 'a'), written('a', ''), written('a', 'x', 'b c d e', true)]
    const counts = countTranscripts(
      all.map((each) => ({ ...each, dropped: dropReasonOf(each, ['cut']) })),
      [{ id: 'kind', kind: 'good' }, { id: 'never' }],
    )
    expect(counts).toEqual({
      rows: 4,
      kept: 2,
      dropped: { unchanged: 1, 'empty-critique': 1 },
      failures: {},
      cut: { response: 0, critique: 0, revision: 1 },
      length: { before: 1.5, after: 2.5 },
      principles: [
        { id: 'kind', kind: 'good', drawn: 4, revised: 3, changed: 2 },
        { id: 'never', drawn: 0, revised: 0, changed: 0 },
      ],
    })
  })

  it('compares texts but for white space', () => {
    expect(sameText(' a\n\nb ', 'a b')).toBe(true)
    expect(sameText('a b', 'ab')).toBe(false)
  })
})

describe('a compared pair', () => {
  const log = Math.log
  const pair = (more: Partial<Pair> = {}): Pair => ({
    ...{ row: 0, pair: 0, prompt, principle: 'kind', replies: [text('longer'), text('short')] },
    ...more,
  })
  /** P(A) with the first reply as (A), and P(A) with the second. */
  const said = (first: number, second: number) =>
    comparisonOf(
      [
        [log(first), log(1 - first)],
        [log(second), log(1 - second)],
      ],
      [0.9, 0.8],
    )

  it('has the mean probability of both orders', () => {
    const comparison = said(0.9, 0.4)
    expect(comparison).toEqual({ asA: expect.closeTo(0.9), asB: expect.closeTo(0.6), mass: 0.8 })
    expect(probabilityOf(comparison)).toBeCloseTo(0.75)
    expect(isConsistent(comparison)).toBe(true)
    // A judge that always says (A) prefers nothing
    expect(probabilityOf(said(0.9, 0.9))).toBeCloseTo(0.5)
    expect(isConsistent(said(0.9, 0.9))).toBe(false)
    expect(isConsistent(said(0.5, 0.5))).toBe(false)
  })

  it.each<[string, Partial<Pair>, string | undefined]>([
    ['that may be compared', {}, undefined],
    ['with an empty reply', { replies: [text('a'), text('')] }, 'empty'],
    ['with a cut reply', { replies: [text('a'), text('b', true)] }, 'cut'],
    ['of equal replies', { replies: [text('a b'), text('a  b')] }, 'same'],
    ['that is undecided', { comparison: { asA: 0.75, asB: 0.25, mass: 1 } }, 'undecided'],
    ['without replies', { replies: undefined, failure: { code: 'prompt-too-long', message: '' } }, 'too-long'],
    ['that could not be compared', { failure: { code: 'no-option', message: '' } }, 'failed'],
  ])('%s', (_, more, reason) => {
    expect(pairDropReasonOf(pair(more))).toBe(reason)
  })

  it('gives a preference with its probability, the better one chosen', () => {
    const row = preferenceRow('chat', pair({ comparison: said(0.2, 0.7) }))
    expect(row).toEqual({ prompt, chosen: 'short', rejected: 'longer', prob: expect.closeTo(0.75) })
    expect(preferenceRow('text', pair({ comparison: said(0.8, 0.3) }))).toMatchObject({
      prompt: '\n\nHuman: Hello\n\nAssistant:',
      chosen: ' longer',
    })
    expect(preferenceRow('chat', pair())).toBeUndefined()
  })

  it('is counted: places, lengths, how sure', () => {
    const pairs = [said(0.9, 0.4), said(0.9, 0.9), said(0.1, 0.6)].map((comparison) => pair({ comparison }))
    const counts = countPairs(
      [...pairs, pair({ dropped: 'same' })].map((each) => ({
        ...each,
        dropped: each.dropped ?? pairDropReasonOf(each),
      })),
      [{ id: 'kind' }],
    )
    expect(counts).toMatchObject({
      ...{ pairs: 4, kept: 2, compared: 3, consistent: 2, longer: 1, unequal: 2 },
      ...{ dropped: { same: 1, undecided: 1 }, bins: [0, 0, 2, 0, 0] },
      first: expect.closeTo((0.9 + 0.4 + 0.9 + 0.9 + 0.1 + 0.6) / 6),
      prob: expect.closeTo(0.75),
      mass: expect.closeTo(0.8),
      principles: [{ id: 'kind', drawn: 4, compared: 3, consistent: 2 }],
    })
  })
})
