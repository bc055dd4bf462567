/** The first phase: respond, criticise, revise, for some rounds. */
import { drawPrinciple, type Principle } from '../../feedback/constitution/constitution.ts'
import { critiqueRequest, responseRequest, revisionRequest } from '../../feedback/constitution/dialogue.ts'
import {
  countTranscripts,
  dropReasonOf,
  type FailedCall,
  isOpen,
  lastReply,
  sftRow,
  type steps,
  type Transcript,
  type Written,
  withResult,
} from '../../feedback/constitution/transcript.ts'
import type { TextPrompt } from '../../feedback/textModel/textModel.ts'
import { askTexts, type CallProgress, stageSeed } from './calls.ts'
import type { PhaseContext } from './context.ts'
import type { AskedModel } from './models.ts'
import { type WrittenPhase, writeRevisions } from './output.ts'

type Step = (typeof steps)[number]

/** Undefined after an abort. */
export async function* reviseAll(context: PhaseContext): AsyncGenerator<CallProgress, WrittenPhase | undefined> {
  const { settings, constitution, models, conversations } = context
  const { seed, rounds, keep } = settings
  const { model, judge } = models
  const principles = new Map(constitution.principles.map((each) => [each.id, each]))
  /** The principle and the reply that a round is about. */
  const subject = ({ prompt, response, rounds }: Transcript) => ({
    principle: principles.get(rounds.at(-1)!.principle)!,
    reply: { prompt, response: lastReply({ response, rounds })!.text },
  })
  let transcripts: Transcript[] = conversations.prompts.map((prompt, row) => ({
    row,
    prompt,
    response: undefined,
    rounds: [],
  }))
  /** One call for each transcript that is still open. @returns whether all were made */
  async function* take(
    step: Step,
    of: string,
    asked: AskedModel,
    number: number,
    request: (t: Transcript) => TextPrompt,
  ) {
    const open = transcripts.filter(isOpen)
    const stage = { of, seed: stageSeed(seed, number), prompts: open.map(request) }
    const results = yield* askTexts(context.calls, asked, stage)
    if (!results) return false
    const byRow = new Map<number, Written | FailedCall>(open.map(({ row }, i) => [row, results[i][0]]))
    transcripts = transcripts.map((each) => {
      const result = byRow.get(each.row)
      return result ? withResult(each, step, result) : each
    })
    return true
  }
  const respond = ({ prompt }: Transcript) => responseRequest(model.form, prompt)
  if (!(yield* take('response', 'responses', model, 0, respond))) return undefined
  for (let round = 0; round < rounds; round++) {
    const name = (what: string) => (rounds > 1 ? `${what}, round ${round + 1}` : what)
    const draw = (row: number): Principle => drawPrinciple(constitution.principles, 'critique', { seed, row, round })
    transcripts = transcripts.map((each) =>
      isOpen(each) ? { ...each, rounds: [...each.rounds, { principle: draw(each.row).id }] } : each,
    )
    const criticise = (transcript: Transcript) => {
      const { principle, reply } = subject(transcript)
      return critiqueRequest(judge.form, constitution, reply, principle)
    }
    const revise = (transcript: Transcript) => {
      const { principle, reply } = subject(transcript)
      const { critique } = transcript.rounds.at(-1)!
      return revisionRequest(model.form, constitution, reply, principle, critique!.text)
    }
    if (!(yield* take('critique', name('critiques'), judge, 2 * round + 1, criticise))) return undefined
    if (!(yield* take('revision', name('revisions'), model, 2 * round + 2, revise))) return undefined
  }
  const finished = transcripts.map((each) => ({ ...each, dropped: dropReasonOf(each, keep) }))
  return writeRevisions(context, {
    transcripts: finished,
    rows: finished.flatMap((each) => sftRow(model.form, each) ?? []),
    counts: countTranscripts(finished, constitution.principles),
  })
}
