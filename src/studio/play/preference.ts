/** "This one is better": a task and the owner's vote in the project `playground` of the label store, in one transaction. */
import type { VoteValue } from '../labels/api.ts'
import type { Labels } from '../labels/labels.ts'
import { addProject, projectsOf, readProject } from '../labels/projects.ts'
import { once } from '../labels/requests.ts'
import { addTask, passes, readTask, type StoredTask } from '../labels/tasks.ts'
import { storeVote, versionOf } from '../labels/voting.ts'
import type { NewPreference, SavedPreference } from './api.ts'

export const playgroundProject = 'playground'

const guidelines = 'Answers that were compared in the playground. Each choice there is a task and a vote here.'

/** The owner. */
const person = 0

/**
 * Makes a task of the prompt and its answers, or finds it, and votes on it: the better answer before the others, which tie; all
 * equal; or all bad. Sent again with the same request id it changes nothing. Throws the HTTP errors of voting.
 */
export const savePreference = (
  { db, counts, live }: Pick<Labels, 'db' | 'counts' | 'live'>,
  given: NewPreference,
): SavedPreference => {
  const change = { person, requestId: given.requestId, what: 'playground' }
  const { answer, again } = once(db, change, (): SavedPreference => {
    const project = projectId(db, given.requestId)
    const { settings } = readProject(db, project)
    const responses = given.answers.map(({ text, model }) => ({ text, source: model }))
    const last = db.get<{ last: number }>(
      'SELECT coalesce(max(position), 0) AS last FROM task WHERE project = ?',
      project,
    )!
    const { id } = addTask(db, project, settings, { prompt: given.prompt, responses }, last.last + 1)
    const task = readTask(db, id)!
    const place = placesIn(task, given)
    storeVote(db, task, settings, person, {
      requestId: given.requestId,
      version: versionOf(db, { task, person, pass: passes.first }),
      value: voteOf(given, place),
      shown: given.shown.map((answer) => place[answer]),
      seconds: given.seconds,
      touched: true,
      adjudicate: false,
    })
    return { project, task: id }
  })
  if (!again) {
    counts.forget(answer.project)
    live.publish({ topic: `task/${answer.task}` })
    live.publish({ topic: `project/${answer.project}` })
  }
  return answer
}

/** A project of this name that ranks; another mode could not say what is said here. */
const projectId = (db: Labels['db'], requestId: string): number =>
  projectsOf(db, person).find(({ name, settings }) => name === playgroundProject && settings.mode === 'rank')?.id ??
  addProject(db, { requestId, name: playgroundProject, guidelines, settings: { mode: 'rank' } })

/** Where each answer stands in the stored task, which may have been made with the answers in another order. */
const placesIn = ({ responses }: StoredTask, { answers }: NewPreference): number[] => {
  const free = new Set(responses.keys())
  return answers.map(({ text }) => {
    const place = [...free].find((i) => responses[i].text === text)!
    free.delete(place)
    return place
  })
}

const voteOf = ({ answers, better }: NewPreference, place: readonly number[]): VoteValue => {
  if (better === 'bad') return { bothBad: true }
  const ranks: number[] = []
  for (const answer of answers.keys()) ranks[place[answer]] = better === 'tie' || better === answer ? 1 : 2
  return { ranks }
}
