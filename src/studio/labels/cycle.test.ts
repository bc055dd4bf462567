/** The cycle of labelling: a project, tasks, votes, what takes them back, and who may see what. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLabelling } from '../../../test/support/labelling.ts'

let studio: ReturnType<typeof openLabelling>
beforeEach(() => {
  studio = openLabelling()
})
afterEach(() => studio.close())

describe('a project', () => {
  it('is made, filled, labelled to its end, and tells how far it is', async () => {
    const { owner, vote } = studio
    const project = await studio.project({ mode: 'rank' }, 2, 3)
    const first = (await owner('GET', `/projects/${project}/next`)).body
    expect(first).toMatchObject({ project, position: 1, prompt: 'question 1', version: 0 })
    expect(first.shown.toSorted()).toEqual([0, 1, 2])
    const voted = await vote(owner, first, { ranks: [2, 1, null] })
    expect(voted.status).toBe(200)
    expect(voted.body).toMatchObject({
      vote: { task: first.id, annotator: 'owner', kind: 'vote', value: { ranks: [2, 1, null] }, seconds: 2 },
      version: 1,
      progress: { tasks: 2, finished: 1, votes: 1, own: { labelled: 1, skipped: 0, open: 1, seconds: 2, today: 1 } },
    })
    const second = (await owner('GET', `/projects/${project}/next`)).body
    expect(second.position).toBe(2)
    await vote(owner, second, { ranks: [1, 1, 1] })
    expect((await owner('GET', `/projects/${project}/next`)).body).toMatchObject({
      done: { finished: 2, own: { open: 0 } },
    })
    expect((await owner('GET', '/projects')).body).toMatchObject([
      { id: project, mode: 'rank', progress: { finished: 2 } },
    ])
    const table = (await owner('GET', `/projects/${project}/tasks?filter=finished&sort=-position`)).body
    expect(table.total).toBe(2)
    expect(table.rows.map(({ prompt }: { prompt: string }) => prompt)).toEqual(['question 2', 'question 1'])
    expect(table.rows[0]).toMatchObject({ votes: 1, state: 'finished', annotators: ['owner'], disagreement: null })
    expect(studio.published).toContain(`project/${project}`)
    expect(studio.published).toContain(`task/${first.id}`)
  })
})
