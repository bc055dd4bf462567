/**
 * A project as Label Studio and Argilla know it: what it asks as a template, what people said of a task as votes with answers beside
 * them; and back.
 */
import type { Answers, Ranking, Unpaired } from '../../data/rows.ts'
import type { Template } from '../../feedback/labelStudio/template.ts'
import { writeTemplate } from '../../feedback/labelStudio/writeTemplate.ts'
import type { Task, TaskVote } from '../../feedback/votes/tasks.ts'
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import type { Project, ProjectSettings, VoteRecord, VoteValue } from './api.ts'
import type { Labelled } from './labelled.ts'
import type { NewTask, StoredTask } from './tasks.ts'
import { ranksOf } from './verdicts.ts'

// ---- settings ----------------------------------------------------------------------------------------------------------

/** What an imported template sets: the mode and what goes with it, its style, and its texts as guidelines. */
export const settingsOfTemplate = (
  template: Template,
  guidelines: string,
): { settings: Partial<ProjectSettings>; guidelines: string } => {
  const [question] = template.questions
  if (question)
    throw badInput(
      'bad-template',
      `line ${question.line}: ${quoted(question.name)} asks something beside the ${template.mode} that attune has no place for; remove it`,
      { line: question.line },
    )
  const { mode, css, title, pair, edit, bothBad, scales, list, prompts } = template
  const classes = {
    ...(prompts[0]?.className && { prompt: prompts[0].className }),
    ...list?.classes,
  }
  const texts = template.guidelines.filter((text) => !guidelines.includes(text))
  return {
    settings: {
      mode,
      scales: scales.map(({ name, max }) => ({ name, min: 1, max })),
      strengths: Math.min(3, pair?.strength?.steps ?? 1),
      edits: edit !== undefined,
      bothBad: bothBad !== undefined,
      template: {
        css,
        ...(title && { title: title.slice(0, 500) }),
        ...(Object.keys(classes).length && { classes }),
      },
    },
    guidelines: [guidelines, ...texts].filter(Boolean).join('\n\n'),
  }
}

/** The template that asks the same. @param responses how many a task has */
export const templateOfProject = (
  { name, settings }: Pick<Project, 'name' | 'settings'>,
  responses: number,
): string => {
  const { mode, scales, strengths, edits, bothBad, template } = settings
  return writeTemplate({
    mode,
    title: template?.title ?? name,
    responses: mode === 'pair' ? 2 : mode === 'good' || mode === 'edit' ? 1 : responses,
    unranked: mode === 'rank',
    scales,
    strengths,
    edits,
    bothBad,
    ...(template?.css && { css: template.css }),
  })
}

// ---- votes -------------------------------------------------------------------------------------------------------------

const allBad = ['all are bad']

/** All that a value says beside its ranks. */
const answersOf = (value: VoteValue): Answers => ({
  ...(value.note && { note: value.note }),
  ...(value.bothBad && { all_bad: allBad }),
  ...(value.preference && { strength: Math.abs(value.preference) }),
  ...(value.edit && { edit: value.edit.text }),
  ...Object.fromEntries(
    (value.ratings ?? []).flatMap((ratings, i) =>
      Object.entries(ratings).map(([scale, mark]): [string, number] => [`${scale}-${i + 1}`, mark]),
    ),
  ),
})

const voteOf = ({ value, id, annotator, seconds, at }: VoteRecord): TaskVote | undefined => {
  const answers = answersOf(value)
  const ranks = ranksOf(value)
  if (!ranks && value.good === undefined && !value.edit) return undefined
  return {
    ranks: ranks ?? [],
    ...(value.good !== undefined && { label: value.good }),
    vote: {
      annotation: id,
      annotator,
      lead_time: seconds,
      created_at: at,
      ...(Object.keys(answers).length && { answers }),
    },
  }
}

/** A task with all current votes, for the forms of other tools. */
export const toolTask = ({ task, votes }: Pick<Labelled, 'task' | 'votes'>): Task => ({
  id: task.id,
  prompt: task.prompt,
  responses: task.responses.map(({ text }) => text),
  votes: votes.flatMap((record) => voteOf(record) ?? []).map((vote) => withRanks(vote, task)),
})

const withRanks = (vote: TaskVote, { responses }: StoredTask): TaskVote =>
  vote.ranks.length ? vote : { ...vote, ranks: responses.map(() => null) }

/** Votes that were pulled, as a value of the project's mode; undefined where they say nothing in it. */
const valueIn = (row: Ranking | Unpaired, { mode, scales, strengths }: ProjectSettings): VoteValue | undefined => {
  const answers = row.vote?.answers ?? {}
  const more: VoteValue = {
    ...(typeof answers.note === 'string' && { note: answers.note }),
    ...(answers.all_bad !== undefined && { bothBad: true }),
  }
  if (row.kind === 'unpaired') return mode === 'good' ? { good: row.label, ...more } : undefined
  const { ranks } = row
  if (mode === 'rate') {
    const ratings = ranks.map((_, i) =>
      Object.fromEntries(
        scales.flatMap(({ name }) => {
          const mark = answers[`${name}-${i + 1}`]
          return typeof mark === 'number' ? [[name, mark]] : []
        }),
      ),
    )
    return ratings.every((marks) => Object.keys(marks).length === scales.length) ? { ratings, ...more } : undefined
  }
  if (mode === 'pair' && ranks.length === 2) {
    const [a, b] = ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY)
    const steps = Math.min(strengths, Number(answers.strength) || 1)
    return { ranks: a < b ? [1, 2] : [2, 1], preference: a < b ? -steps : steps, ...more }
  }
  return mode === 'rank' || mode === 'best' ? { ranks, ...more } : undefined
}

/** A pulled row as a task, what it says as the start for annotators here, by the name of who said it there. */
export const pulledTask = (row: Ranking | Unpaired, settings: ProjectSettings): NewTask => {
  const responses = row.kind === 'unpaired' ? [row.completion] : row.responses
  const value = row.kind === 'ranking' && row.ranks.every((rank) => rank === null) ? undefined : valueIn(row, settings)
  return {
    prompt: row.prompt,
    responses: responses.map((text) => ({ text })),
    ...(value && { prediction: { by: String(row.vote?.annotator ?? 'Label Studio'), value } }),
  }
}
