/**
 * Tasks in Label Studio's form: the data that a template shows, votes as annotations, and what models said as predictions. What
 * Label Studio has no place for (names of annotators, answers to questions that the template does not ask) stands in the "meta" of
 * the first result, which it keeps; attune reads it again.
 */
import type { Answers, Vote } from '../../data/rows.ts'
import type { Task, TaskVote } from '../votes/tasks.ts'
import { type Changed, isTied, type TaskTexts, textsOf } from '../votes/taskTexts.ts'
import type { Template } from './template.ts'

type Result = { id: string; from_name: string; to_name: string; type: string; value: object; meta?: object }
type FormOptions = {
  template: Template
  /** Of a server: annotations are those of the token's user, and get new numbers and times, so the vote's own stand in the meta. */
  forServer?: boolean
}

/**
 * {"id", "data", "annotations", "predictions"}
 * @param number of the task in the file, from 1
 * @returns undefined for a task that the template has no place for; `changed` says why
 */
export const labelStudioTask = (
  task: Task,
  number: number,
  changed: Changed,
  { template, forServer = false }: FormOptions,
): object | undefined => {
  const texts = textsOf(task)
  const { predictions = [] } = task
  const entries = Math.max(1, task.votes.length + predictions.length)
  if (typeof texts === 'string') {
    changed(texts, entries)
    return undefined
  }
  if (template.list ? texts.responses.length < 2 : texts.responses.length !== template.responses.length) {
    changed('another-number-of-responses', entries)
    return undefined
  }
  const resultsOf = (vote: TaskVote, at: string): Result[] | undefined => {
    const made = saidIn[template.mode](vote, template, texts)
    if (typeof made === 'string') {
      changed(made)
      return undefined
    }
    const { asked, others } = answersFor(template, texts, vote.vote?.answers ?? {})
    const results = [...made, ...asked].map((result) => ({ id: `${result.from_name}-${at}`, ...result }))
    const kept = keptOf(vote.vote ?? {}, others, forServer)
    return Object.keys(kept).length ? [{ ...results[0], meta: { attune: kept } }, ...results.slice(1)] : results
  }
  return {
    ...(!forServer && { id: task.id ?? number }),
    // A server numbers tasks anew
    ...(forServer && task.id !== undefined && { meta: { attune: { task: task.id } } }),
    data: dataOf(template, texts),
    annotations: task.votes.flatMap((vote, at) => {
      const result = resultsOf(vote, `${number}-${at + 1}`)
      return result ? [annotation(vote.vote ?? {}, result, forServer)] : []
    }),
    predictions: predictions.flatMap((vote, at) => {
      const result = resultsOf(vote, `p${number}-${at + 1}`)
      const { annotator, score } = vote.vote ?? {}
      if (!result) return []
      return [
        {
          ...(annotator !== undefined && { model_version: String(annotator) }),
          ...(score !== undefined && { score }),
          result,
        },
      ]
    }),
  }
}

/** Every key that the template names must be there: the server asks for them. */
const dataOf = ({ prompts, list, responses }: Template, texts: TaskTexts): Record<string, unknown> => {
  const data: Record<string, unknown> = {}
  for (const part of list?.parts ?? []) data[part] = ''
  for (const [i, { key }] of prompts.entries()) data[key] = i ? '' : texts.prompt
  if (!prompts.length) data.prompt = texts.prompt
  for (const [i, { key }] of responses.entries()) data[key] = texts.responses[i]
  if (list) data[list.key] = texts.responses.map((body, i) => ({ id: String(i + 1), title: `Answer ${i + 1}`, body }))
  return { ...data, ...(texts.messages && { messages: texts.messages }) }
}

const annotation = ({ annotation, annotator, lead_time, created_at }: Vote, result: Result[], forServer: boolean) => ({
  ...(isNumber(annotation) && !forServer && { id: annotation }),
  ...(isUser(annotator) && !forServer && { completed_by: annotator }),
  was_cancelled: false,
  // An imported annotation would be a known answer otherwise
  ground_truth: false,
  ...(lead_time !== undefined && { lead_time }),
  ...(created_at !== undefined && !forServer && { created_at }),
  result,
})

/** Label Studio numbers annotations, and knows annotators by number or e-mail address. */
const isNumber = (id: unknown) => /^\d{1,15}$/.test(String(id))
const isUser = (annotator: unknown) => isNumber(annotator) || /^[^\s@]+@[^\s@]+$/.test(String(annotator))

const keptOf = (vote: Vote, answers: Answers, forServer: boolean) => ({
  ...(vote.annotation !== undefined &&
    (forServer || vote.prediction || !isNumber(vote.annotation)) && { annotation: vote.annotation }),
  ...(vote.annotator !== undefined &&
    (vote.prediction ? typeof vote.annotator === 'number' : forServer || !isUser(vote.annotator)) && {
      annotator: vote.annotator,
    }),
  ...(vote.created_at !== undefined && (forServer || vote.prediction) && { created_at: vote.created_at }),
  ...(vote.prediction && vote.lead_time !== undefined && { lead_time: vote.lead_time }),
  ...(Object.keys(answers).length && { answers }),
})

// ---- results -----------------------------------------------------------------------------------------------------------

type Said = Omit<Result, 'id'>

/** The vote in the words of the mode, or why it cannot be said. */
const saidIn: Record<Template['mode'], (vote: TaskVote, template: Template, texts: TaskTexts) => Said[] | string> = {
  rank: ({ ranks, vote }, { rank, list }) => {
    if (isTied(ranks)) return 'vote-with-tie'
    const ids = ranks.map((_, i) => String(i + 1))
    const placed = ids.filter((_, i) => ranks[i] !== null).sort((a, b) => ranks[Number(a) - 1]! - ranks[Number(b) - 1]!)
    const left = ids.filter((_, i) => ranks[i] === null)
    const own = vote?.answers?.bucket
    const bucket = rank!.bucket
    if (left.length && bucket === undefined) return 'vote-with-unranked'
    const ranker =
      typeof own === 'string'
        ? { [own]: placed, [`not ${own}`]: [] }
        : { [bucket ?? rank!.name]: placed, ...(bucket !== undefined && { _: left }) }
    return [{ from_name: rank!.name, to_name: list!.name, type: 'ranker', value: { ranker } }]
  },
  pair: ({ ranks }, { pair, responses }) => {
    const [a, b] = ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY)
    if (a === b) return 'vote-with-tie'
    const to_name = responses.map(({ name }) => name).join(',')
    return [{ from_name: pair!.name, to_name, type: 'pairwise', value: { selected: a < b ? 'left' : 'right' } }]
  },
  best: ({ ranks }, { best, prompts, responses }) => {
    const first = ranks.flatMap((rank, i) => (rank === 1 ? [i] : []))
    if (first.length !== 1) return 'vote-with-tie'
    if (ranks.some((rank) => rank !== null && rank > 1)) return 'vote-with-more-than-the-best'
    const choices = [best!.options[first[0]]]
    return [{ from_name: best!.name, to_name: (prompts[0] ?? responses[0]).name, type: 'choices', value: { choices } }]
  },
  good: ({ label }, { good, responses }) =>
    label === undefined
      ? 'vote-without-label'
      : [
          {
            from_name: good!.name,
            to_name: responses[0].name,
            type: 'choices',
            value: { choices: [label ? good!.good : good!.bad] },
          },
        ],
  // The ratings are answers, which stand beside every vote
  rate: ({ vote }, { scales }) =>
    scales.some(({ name, controls }) => controls.some((_, i) => vote?.answers?.[`${name}-${i + 1}`] !== undefined))
      ? []
      : 'vote-without-ratings',
  edit: ({ vote }) => (vote?.answers?.edit === undefined ? 'vote-without-edit' : []),
}

/** Answers to what the template asks, as results; the others. */
const answersFor = (template: Template, { responses: { length } }: TaskTexts, answers: Answers) => {
  const asked: Said[] = []
  const others: Answers = {}
  for (const [name, answer] of Object.entries(answers)) {
    const control = controlOf(template, name, length)
    if (name === 'bucket' && template.mode === 'rank') continue
    const kind = typeof answer === 'number' ? 'rating' : typeof answer === 'string' ? 'text' : 'choices'
    if (control?.kind !== kind || answer === '' || (Array.isArray(answer) && !answer.length)) others[name] = answer
    else
      asked.push({
        from_name: control.name,
        to_name: control.to,
        type: kind === 'text' ? 'textarea' : kind,
        value: kind === 'text' ? { text: [answer] } : { [kind]: answer },
      })
  }
  return { asked, others }
}

/** The control that asks for an answer of this name. */
const controlOf = (template: Template, name: string, responses: number) => {
  const { note, pair, scales, questions, prompts } = template
  const to = (prompts[0] ?? template.list ?? template.responses[0]).name
  if (name === 'edit' && template.edit)
    return { name: template.edit.name, to: template.mode === 'edit' ? template.responses[0].name : to, kind: 'text' }
  if (name === 'note' && note) return { name: note.name, to, kind: 'text' }
  if (name === 'strength' && pair?.strength) return { name: pair.strength.name, to, kind: 'rating' }
  if (name === 'all_bad' && template.bothBad) return { name: template.bothBad.name, to, kind: 'choices' }
  for (const scale of scales)
    for (let i = 0; i < responses; i++)
      if (name === `${scale.name}-${i + 1}`)
        return { name: scale.controls[i], to: template.responses[i].name, kind: 'rating' }
  return questions.find((question) => question.name === name)
}
