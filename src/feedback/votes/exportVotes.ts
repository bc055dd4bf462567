/**
 * Tasks with their votes as records of Argilla: a ranking question, or a label question named "good" of one response; what models
 * said as suggestions. Answers to other questions keep their names.
 */
import type { Answers } from '../../data/rows.ts'
import type { Ranks, Task, TaskVote } from './tasks.ts'
import { type Changed, textsOf } from './taskTexts.ts'

/**
 * {"id", "fields", "responses", "suggestions", "metadata"}. Ties stay. Argilla's rankings must be whole: responses without a rank
 * are written as tied behind all others, and counted.
 * @returns undefined for rows of token ids
 */
export const argillaRecord = (task: Task, number: number, changed: Changed): object | undefined => {
  const texts = textsOf(task)
  if (typeof texts === 'string') {
    changed(texts, Math.max(1, task.votes.length + (task.predictions?.length ?? 0)))
    return undefined
  }
  const names = texts.responses.map((_, i) => `response-${i + 1}`)
  const answersOf = (vote: TaskVote): Record<string, unknown> => {
    const { bucket: _, ...answers }: Answers = vote.vote?.answers ?? {}
    if (vote.label !== undefined) return { good: vote.label ? 'good' : 'bad', ...answers }
    if (vote.ranks.includes(null)) changed('unranked-as-last')
    return { ranking: wholeRanking(names, vote.ranks), ...answers }
  }
  const [prediction, ...more] = task.predictions ?? []
  // One suggestion for a question
  if (more.length) changed('predictions-left-out', more.length)
  return {
    id: String(task.id ?? number),
    fields: { prompt: texts.prompt, ...Object.fromEntries(names.map((name, i) => [name, texts.responses[i]])) },
    responses: task.votes.map((vote) => {
      const { annotator, annotation, created_at, lead_time } = vote.vote ?? {}
      if (lead_time !== undefined) changed('lead_time-left-out')
      return {
        ...(annotation !== undefined && { id: String(annotation) }),
        ...(annotator !== undefined && { user_id: String(annotator) }),
        status: 'submitted',
        values: Object.fromEntries(Object.entries(answersOf(vote)).map(([name, value]) => [name, { value }])),
        ...(created_at !== undefined && { inserted_at: created_at }),
      }
    }),
    suggestions: prediction
      ? Object.entries(answersOf(prediction)).map(([question_name, value]) => ({
          question_name,
          value,
          type: 'model',
          ...(prediction.vote?.annotator !== undefined && { agent: String(prediction.vote.annotator) }),
          ...(prediction.vote?.score !== undefined && { score: prediction.vote.score }),
        }))
      : [],
    metadata: texts.messages ? { messages: JSON.stringify(texts.messages) } : {},
  }
}

const wholeRanking = (names: readonly string[], ranks: Ranks) => {
  const placed = ranks.filter((rank) => rank !== null).length
  return names.map((value, i) => ({ value, rank: ranks[i] ?? placed + 1 }))
}
