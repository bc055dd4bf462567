/**
 * Rows of critique and revision: the transcript of a prompt, whether its last revision may be learnt from and why not, the
 * SFT row that it gives, and the counts of all.
 */
import type { Message } from '../../data/messages.ts'
import { dialoguePrompt, type Form } from './dialogue.ts'

/** What a model wrote. */
export type Written = {
  text: string
  /** Cut at the limit of new tokens. */
  cut: boolean
}

export type CritiqueRound = {
  /** Id of the principle that was drawn. */
  principle: string
  critique: Written
  revision: Written
}

/** Why a row gives nothing to learn from. */
export const dropReasons = [
  'too-long',
  'empty-response',
  'empty-critique',
  'empty-revision',
  'cut-revision',
  'unchanged',
] as const
export type DropReason = (typeof dropReasons)[number]
/** Reasons that a user may overrule: what was written is whole, though it teaches little. */
export const keepable = ['cut-revision', 'unchanged'] as const

export type Transcript = {
  /** Number of the prompt in the data, from 0. */
  row: number
  prompt: readonly Message[]
  /** Undefined where the prompt leaves no room for one. */
  response?: Written
  /** Rounds that were finished, and the last one as far as it came. */
  rounds: readonly (Pick<CritiqueRound, 'principle'> & Partial<CritiqueRound>)[]
  dropped?: DropReason
}

/** The last reply that was written: a revision, or the response. */
export const lastReply = ({ response, rounds }: Pick<Transcript, 'response' | 'rounds'>): Written | undefined =>
  rounds.findLast(({ revision }) => revision)?.revision ?? response

/** Texts that differ in white space alone count as the same. */
export const sameText = (a: string, b: string): boolean => a.split(/\s+/).join(' ').trim() === b.split(/\s+/).join(' ').trim()

/**
 * Why a transcript gives no row; undefined for one that does.
 * @param keep reasons that do not count
 */
export const dropReasonOf = (
  { response, rounds }: Pick<Transcript, 'response' | 'rounds'>,
  keep: readonly DropReason[] = [],
): DropReason | undefined => {
  if (!response) return 'too-long'
  if (!response.text) return 'empty-response'
  for (const { critique, revision } of rounds) {
    if (!critique) return 'too-long'
    if (!critique.text) return 'empty-critique'
    if (!revision) return 'too-long'
    if (!revision.text) return 'empty-revision'
  }
  const last = lastReply({ response, rounds })!
  const reasons: DropReason[] = []
  if (last.cut) reasons.push('cut-revision')
  if (sameText(last.text, response.text)) reasons.push('unchanged')
  return reasons.find((reason) => !keep.includes(reason))
}

/** A prompt in the form in which the model was asked: messages, or a text with marked speakers that the response continues. */
export const rowPrompt = (form: Form, prompt: readonly Message[]): readonly Message[] | string =>
  form === 'chat' ? prompt : dialoguePrompt(prompt)

/** A response behind `rowPrompt`. */
export const rowResponse = (form: Form, text: string): string => (form === 'chat' ? text : ` ${text}`)

/** The row of an SFT file: the prompt and the last revision. Undefined for a dropped transcript. */
export const sftRow = (
  form: Form,
  transcript: Transcript,
): { prompt: readonly Message[] | string; completion: string } | undefined =>
  transcript.dropped
    ? undefined
    : {
        prompt: rowPrompt(form, transcript.prompt),
        completion: rowResponse(form, lastReply(transcript)!.text),
      }

export type PrincipleUse = {
  id: string
  kind?: string
  /** Rounds that drew it. */
  drawn: number
  /** Rounds of these that wrote a revision. */
  revised: number
  /** Revisions that differ from the reply before. */
  changed: number
}

export type CritiqueCounts = {
  rows: number
  kept: number
  dropped: Partial<Record<DropReason, number>>
  /** Texts that were cut at the limit of new tokens, used or not. */
  cut: { responses: number; critiques: number; revisions: number }
  /** Mean number of words of the responses, and of the last revisions, of the rows that are kept. NaN of none. */
  words: { before: number; after: number }
  principles: PrincipleUse[]
}

const wordCount = (text: string): number => text.split(/\s+/).filter(Boolean).length
const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** @param principles all that could be drawn, in the order of the report */
export const countTranscripts = (
  transcripts: readonly Transcript[],
  principles: readonly { id: string; kind?: string }[],
): CritiqueCounts => {
  const kept = transcripts.filter(({ dropped }) => dropped === undefined)
  const dropped: CritiqueCounts['dropped'] = {}
  for (const { dropped: reason } of transcripts) if (reason) dropped[reason] = (dropped[reason] ?? 0) + 1
  const steps = transcripts.flatMap(stepsOf)
  const count = (written: readonly (Written | undefined)[]) => written.filter((each) => each?.cut).length
  return {
    rows: transcripts.length,
    kept: kept.length,
    dropped,
    cut: {
      responses: count(transcripts.map(({ response }) => response)),
      critiques: count(steps.map(({ critique }) => critique)),
      revisions: count(steps.map(({ revision }) => revision)),
    },
    words: {
      before: meanOf(kept.map(({ response }) => wordCount(response!.text))),
      after: meanOf(kept.map((each) => wordCount(lastReply(each)!.text))),
    },
    principles: principles.map(({ id, kind }) => {
      const drawn = steps.filter(({ principle }) => principle === id)
      const revised = drawn.filter(({ revision }) => revision?.text)
      return {
        id,
        ...(kind !== undefined && { kind }),
        drawn: drawn.length,
        revised: revised.length,
        changed: revised.filter(({ before, revision }) => !sameText(before.text, revision!.text)).length,
      }
    }),
  }
}

/** The rounds of a transcript, each with the reply that it began with. */
const stepsOf = ({ response, rounds }: Transcript) =>
  rounds.map((round, i) => ({ ...round, before: rounds[i - 1]?.revision ?? response! }))
