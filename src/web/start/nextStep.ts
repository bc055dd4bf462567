/** What to do next in this folder, told from its projects and runs. */
import type { ProjectSummary } from '../../studio/labels/api.ts'
import type { RunRow } from '../../studio/runs/api.ts'
import { number } from '../ui/format.ts'

export type NextStep = { title: string; text: string; action: string; href: string }

export const projectPath = ({ id }: { id: number }) => `/label/${id}`
export const labelPath = ({ id }: { id: number }) => `/label/${id}/task`
export const runPath = ({ name }: { name: string }) => `/runs/${encodeURIComponent(name)}`

const count = (n: number, one: string, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`

/** @param owner annotators only label @param projects, runs those that this person sees, the newest first */
export const nextStep = (
  projects: readonly ProjectSummary[],
  runs: readonly Pick<RunRow, 'name' | 'state' | 'steps' | 'totalSteps'>[],
  owner: boolean,
): NextStep | undefined => {
  const running = runs.find(({ state }) => state === 'running')
  if (running)
    return {
      title: `${running.name} is running`,
      text: `It is at step ${number(running.steps)} of ${number(running.totalSteps)}. Its curves grow as you watch.`,
      action: 'Watch the run',
      href: runPath(running),
    }
  const open = projects.find(({ progress }) => progress.own.open > 0)
  if (open) {
    const { own } = open.progress
    const done = own.labelled > 0 ? ` You have labelled ${number(own.labelled)}.` : ''
    return {
      title: `${own.labelled > 0 ? 'Go on with' : 'Label'} ${open.name}`,
      text: `${count(own.open, 'task waits', 'tasks wait')} for you.${done}`,
      action: own.labelled > 0 ? 'Go on' : 'Begin',
      href: labelPath(open),
    }
  }
  if (!owner) return undefined
  const empty = projects.find(({ progress }) => progress.tasks === 0)
  if (empty)
    return {
      title: `${empty.name} has no tasks yet`,
      text: 'Bring in answers from a file of rows, or let a model write some.',
      action: 'Bring in answers',
      href: projectPath(empty),
    }
  const finished = projects.find(({ progress }) => progress.votes > 0)
  if (finished)
    return {
      title: `${finished.name} is labelled`,
      text: `${count(finished.progress.votes, 'vote')} on ${count(finished.progress.tasks, 'task')}. See how far people agree, then train on them.`,
      action: 'Open the project',
      href: projectPath(finished),
    }
  if (runs.length > 0 && projects.length === 0)
    return {
      title: 'Find out which answers people like',
      text: 'Let a model that you trained answer prompts, rank the answers, and train on the ranking.',
      action: 'Make a project',
      href: '/label',
    }
  return undefined
}
