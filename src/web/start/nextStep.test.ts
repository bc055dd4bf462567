import { describe, expect, it } from 'vitest'
import type { ProjectSummary } from '../../studio/labels/api.ts'
import { nextStep } from './nextStep.ts'

type Counts = Partial<ProjectSummary['progress']> & { open?: number; labelled?: number }

const project = (name: string, { open = 0, labelled = 0, ...counts }: Counts): ProjectSummary => ({
  id: 7,
  name,
  mode: 'rank',
  progress: {
    tasks: 10,
    finished: 0,
    votes: 0,
    own: { labelled, skipped: 0, open, seconds: null, today: 0 },
    ...counts,
  },
})
const run = (state: 'running' | 'done') => ({ name: 'a/b', state, steps: 5, totalSteps: 10 })

describe('the next step', () => {
  it.each([
    ['a run that runs comes first', [project('p', { open: 3 })], [run('running')], 'a/b is running', '/runs/a%2Fb'],
    ['then tasks that wait', [project('p', { open: 3 })], [run('done')], 'Label p', '/label/7/task'],
    ['that one has begun', [project('p', { open: 3, labelled: 2 })], [], 'Go on with p', '/label/7/task'],
    ['a project without tasks', [project('p', { tasks: 0 })], [], 'p has no tasks yet', '/label/7'],
    ['one that is labelled', [project('p', { votes: 20 })], [], 'p is labelled', '/label/7'],
    ['runs without any labels', [], [run('done')], 'Find out which answers people like', '/label'],
  ])('%s', (_, projects, runs, title, href) => {
    expect(nextStep(projects, runs, true)).toMatchObject({ title, href })
  })

  it('says how many tasks wait, of one too', () => {
    expect(nextStep([project('p', { open: 1 })], [], true)?.text).toBe('1 task waits for you.')
    expect(nextStep([project('p', { open: 1200, labelled: 3 })], [], true)?.text).toBe(
      '1,200 tasks wait for you. You have labelled 3.',
    )
  })

  it('is only to label for those who may do nothing else', () => {
    expect(nextStep([project('p', { votes: 20 })], [], false)).toBeUndefined()
    expect(nextStep([project('p', { open: 1 })], [], false)?.href).toBe('/label/7/task')
  })
})
