/**
 * Rows of critique and revision: the transcript of a prompt, whether its last revision may be learnt from and why not, the
 * SFT row that it gives, and the counts of all.
 */
import type { Message } from '../../data/messages.ts'
import { mean } from '../../statistics/summary.ts'
import type { TextPrompt } from '../textModel/textModel.ts'
import { type Form, responseRequest } from './dialogue.ts'

/** What a model wrote. */
export type Written = {
  text: string
  /** Cut at the limit of new tokens. */
  cut: boolean
}

/** A call that gave no text. `code` is that of a Fault: 'prompt-too-long', 'endpoint', 'bad-answer', ... */
export type FailedCall = { code: string; message: string }

export type CritiqueRound = {
  /** Id of the principle that was drawn. */
  principle: string
  critique?: Written
  revision?: Written
}

export const steps = ['response', 'critique', 'revision'] as const

export type Transcript = {
  /** Number of the prompt in the data, from 0. */
  row: number
  prompt: readonly Message[]
  response?: Written
  rounds: readonly CritiqueRound[]
  /** The call that failed, after which nothing more was asked. */
  failure?: FailedCall & { step: (typeof steps)[number] }
  dropped?: DropReason
}

/** Why a row gives nothing to learn from, in the order in which they are looked for. */
export const dropReasons = {
  'too-long': 'the prompt, or what was written about it, leaves no room in the context',
  failed: 'a call of the model failed',
  'empty-response': 'the response is empty',
  'empty-critique': 'a critique is empty',
  'empty-revision': 'a revision is empty',
  cut: 'the last revision was cut at the limit of new tokens',
  unchanged: 'the last revision says the same as the response',
} as const
export type DropReason = keyof typeof dropReasons

/** Reasons that `--keep` overrules: there is a last revision all the same. */
export const keepable = ['cut', 'unchanged'] as const satisfies readonly DropReason[]

/** The last reply that was written: a revision, or the response. */
export const lastReply = ({ response, rounds }: Pick<Transcript, 'response' | 'rounds'>): Written | undefined =>
  rounds.findLast(({ revision }) => revision)?.revision ?? response

/** Whether two texts are equal but for white space. */
export const sameText = (a: string, b: string): boolean => normalized(a) === normalized(b)

const normalized = (text: string) => text.trim().replaceAll(/\s+/g, ' ')

/**
 * Why a transcript gives no row; undefined for one that does, and for one that is not finished.
 * @param keep reasons that do not count
 */
export const dropReasonOf = (
  { response, rounds, failure }: Transcript,
  keep: readonly string[] = [],
): DropReason | undefined => {
  if (failure) return failure.code === 'prompt-too-long' ? 'too-long' : 'failed'
  if (response?.text === '') return 'empty-response'
  for (const { critique, revision } of rounds) {
    if (critique?.text === '') return 'empty-critique'
    if (revision?.text === '') return 'empty-revision'
  }
  const last = rounds.at(-1)?.revision
  if (!response || !last) return undefined
  const found: DropReason[] = []
  if (last.cut) found.push('cut')
  if (sameText(last.text, response.text)) found.push('unchanged')
  return found.find((reason) => !keep.includes(reason))
}

/** A transcript with the result of the call that came next. An empty text or a failure ends it. */
export const withResult = (
  transcript: Transcript,
  step: (typeof steps)[number],
  result: Written | FailedCall,
): Transcript => {
  if ('code' in result) return { ...transcript, failure: { step, ...result } }
  if (step === 'response') return { ...transcript, response: result }
  const before = transcript.rounds.slice(0, -1)
  return { ...transcript, rounds: [...before, { ...transcript.rounds.at(-1)!, [step]: result }] }
}

/** Whether the next call can be made: nothing failed, and nothing is empty. */
export const isOpen = (transcript: Transcript): boolean => dropReasonOf(transcript, keepable) === undefined

/** A row of an SFT file: the prompt as the model was asked, and the last revision. */
export type CritiqueRow = { prompt: TextPrompt; completion: string }

/** Undefined for a dropped transcript. */
export const sftRow = (form: Form, transcript: Transcript): CritiqueRow | undefined =>
  transcript.dropped
    ? undefined
    : { prompt: responseRequest(form, transcript.prompt), completion: rowText(form, lastReply(transcript)!.text) }

/** A response behind a row's prompt: in a plain text there is a space after the speaker's mark. */
export const rowText = (form: Form, text: string): string => (form === 'chat' ? text : ` ${text}`)

export type PrincipleUse = {
  id: string
  kind?: string
  /** Rounds that drew it. */
  drawn: number
  /** Those that wrote a revision. */
  revised: number
  /** Revisions that differ from the reply before. */
  changed: number
}

export type CritiqueCounts = {
  rows: number
  kept: number
  dropped: Partial<Record<DropReason, number>>
  /** Failed calls by their code. */
  failures: Record<string, number>
  /** Texts that were cut at the limit of new tokens, used or not. */
  cut: Record<(typeof steps)[number], number>
  /** Mean number of words of the responses and of the last revisions of the rows that are kept; NaN of none. */
  length: { before: number; after: number }
  /** All that could be drawn, in the order of the constitution. */
  principles: PrincipleUse[]
}

/** @param principles all that could be drawn */
export const countTranscripts = (
  transcripts: readonly Transcript[],
  principles: readonly { id: string; kind?: string }[],
): CritiqueCounts => {
  const kept = transcripts.filter(({ dropped }) => dropped === undefined)
  const rounds = transcripts.flatMap(roundsOf)
  const cut = (written: readonly (Written | undefined)[]) => written.filter((each) => each?.cut).length
  return {
    rows: transcripts.length,
    kept: kept.length,
    dropped: countBy(transcripts.map(({ dropped }) => dropped)),
    failures: countBy(transcripts.map(({ failure }) => failure?.code)),
    cut: {
      response: cut(transcripts.map(({ response }) => response)),
      critique: cut(rounds.map(({ critique }) => critique)),
      revision: cut(rounds.map(({ revision }) => revision)),
    },
    length: {
      before: mean(kept.map(({ response }) => wordCount(response!.text))),
      after: mean(kept.map((each) => wordCount(lastReply(each)!.text))),
    },
    principles: principles.map(({ id, kind }) => {
      const drawn = rounds.filter(({ principle }) => principle === id)
      const revised = drawn.filter(({ revision }) => revision?.text)
      const changed = revised.filter(({ before, revision }) => !sameText(before.text, revision!.text))
      return {
        id,
        ...(kind !== undefined && { kind }),
        ...{ drawn: drawn.length, revised: revised.length, changed: changed.length },
      }
    }),
  }
}

/** How often each name stands in the list; undefined is not counted. */
export const countBy = <K extends string>(names: readonly (K | undefined)[]): Record<K, number> => {
  const counts = {} as Record<K, number>
  for (const name of names) if (name !== undefined) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

const wordCount = (text: string): number => text.split(/\s+/).filter(Boolean).length

/** The rounds of a transcript, each with the reply that it began with. */
const roundsOf = ({ response, rounds }: Transcript) =>
  rounds.map((round, i) => ({ ...round, before: rounds[i - 1]?.revision ?? response! }))
