/** The labelling page against a real studio: keyboard, mouse, touch, undo, skips, drafts, edits, marks, two tabs, lost connection. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Project, ProjectSettings, TaskPage, VoteRecord } from '../../src/studio/labels/api.ts'
import { axeFindings, hasBrowser, openBrowser, type StudioProcess, startStudio } from '../support/studioPage.ts'

const texts = ['The **first** answer. It is short.', 'The second answer.', 'The third answer, in `code`.']

describe.skipIf(!hasBrowser)('the labelling page', () => {
  let folder: string
  let studio: StudioProcess
  let browser: Browser
  let context: BrowserContext

  const fetchApi = async (method: string, path: string, body?: unknown): Promise<Response> => {
    const token = new URL(studio.owner).searchParams.get('token')
    const response = await fetch(`${studio.url}/api${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(await response.text())
    return response
  }
  const api = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
    (await fetchApi(method, path, body)).json() as Promise<T>

  /** A project of three tasks. @returns its id, and the ids of its tasks */
  const makeProject = async (settings: Partial<ProjectSettings>, responses = texts) => {
    const requestId = () => crypto.randomUUID()
    const { id } = await api<Project>('POST', '/projects', { requestId: requestId(), name: 'Answers', settings })
    const rows = [1, 2, 3].map((n) => ({ prompt: `Question ${n}`, responses: responses.map((text) => ({ text })) }))
    await api('POST', `/projects/${id}/import`, { requestId: requestId(), rows })
    const { rows: tasks } = await api<TaskPage>('GET', `/projects/${id}/tasks`)
    return { id, tasks: tasks.map((task) => task.id) }
  }

  const preferencesOf = async (project: number): Promise<{ chosen: string; rejected: string }[]> => {
    const lines = await fetchApi('GET', `/projects/${project}/export?form=preference`)
    return (await lines.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  }

  const votesOf = (task: number) => api<VoteRecord[]>('GET', `/tasks/${task}/history`)
  const lastVote = async (task: number) => (await votesOf(task)).at(-1)!
  /** Waits for what the server has, since the page does not. */
  const stored = async (task: number, votes: number) => {
    await expect.poll(async () => (await votesOf(task)).length, { interval: 20 }).toBe(votes)
    return lastVote(task)
  }

  const openTask = async (path: string, where = context): Promise<Page> => {
    const page = await where.newPage()
    page.on('pageerror', (error) => {
      throw error
    })
    await page.goto(`${studio.url}${path}`)
    await page.waitForSelector('.task-bar')
    return page
  }
  const press = async (page: Page, keys: string) => {
    for (const key of keys.split(' ')) await page.keyboard.press(key)
  }
  const heading = (page: Page, position: number) =>
    page.getByRole('heading', { name: `task ${position}`, exact: false }).waitFor()
  const card = (page: Page, letter: string) => page.locator(`#response-${letter}`)
  const rankOf = (page: Page, letter: string) => card(page, letter).getAttribute('aria-label')

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-annotate-'))
    ;[studio, browser] = await Promise.all([startStudio(folder), openBrowser()])
    context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
    const page = await context.newPage()
    await page.goto(studio.owner)
    await page.waitForURL((url) => !url.search)
    await page.close()
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await studio?.close()
    await rm(folder, { recursive: true, force: true })
  }, 60_000)

  it('ranks by keyboard with ties, refuses an untouched vote, and takes a vote back', async () => {
    const { id, tasks } = await makeProject({ mode: 'rank' })
    const page = await openTask(`/label/${id}/task`)
    await press(page, 'Enter')
    await page.getByText('Nothing is ranked yet').waitFor()
    await press(page, '2 j 1 j 2')
    expect(await rankOf(page, 'C')).toContain('rank 2')
    // Digits are text in a note
    await press(page, 'n')
    await page.keyboard.type('31 is why')
    await press(page, 'Escape Enter')
    await heading(page, 2)
    const vote = await stored(tasks[0], 1)
    const [a, b, c] = vote.shown
    expect(vote.value.ranks?.map((_, i) => vote.value.ranks![[a, b, c][i]])).toEqual([2, 1, 2])
    expect(vote.value.note).toBe('31 is why')
    expect(vote.seconds).toBeGreaterThan(0)

    await press(page, 'z')
    await heading(page, 1)
    expect(await Promise.all(['A', 'B', 'C'].map((letter) => rankOf(page, letter)))).toEqual([
      'Response A, rank 2',
      'Response B, rank 1',
      'Response C, rank 2',
    ])
    await press(page, 'j j Alt+ArrowUp Enter')
    await heading(page, 2)
    const changed = await stored(tasks[0], 3)
    expect([a, b, c].map((i) => changed.value.ranks![i])).toEqual([3, 1, 2])
    await page.close()
  })

  it('ranks by dragging with the mouse: into order, onto another for a tie, and out of the ranking', async () => {
    const { id } = await makeProject({ mode: 'rank' })
    const page = await openTask(`/label/${id}/task`)
    const drag = async (from: string, to: string, x: number) => {
      const start = (await page.locator(from).boundingBox())!
      const end = (await page.locator(to).boundingBox())!
      await page.mouse.move(start.x + 8, start.y + 8)
      await page.mouse.down()
      await page.mouse.move(start.x + 20, start.y + 14, { steps: 3 })
      await page.mouse.move(end.x + end.width * x, end.y + end.height / 2, { steps: 6 })
      await page.mouse.up()
    }
    await drag('#response-C .handle', '#response-A', 0.04)
    await page.waitForSelector('#response-C[aria-label="Response C, rank 1"]')
    expect(await page.locator('.response').evaluateAll((all) => all.map(({ id }) => id.at(-1)))).toEqual([
      'C',
      'A',
      'B',
    ])
    expect(await rankOf(page, 'B')).toBe('Response B, rank 3')
    await drag('#response-B .handle', '#response-A', 0.5)
    await page.waitForSelector('#response-B[aria-label="Response B, rank 2"]')
    expect(await rankOf(page, 'A')).toBe('Response A, rank 2')
    await drag('.ladder a[href="#response-C"]', '.ladder .rest', 0.9)
    await page.waitForSelector('#response-C[aria-label="Response C, unranked"]')
    await press(page, 'z z')
    expect(await rankOf(page, 'B')).toBe('Response B, rank 3')
    await page.close()
  })

  it('ranks by touch on a narrow screen, without scrolling sideways', async () => {
    const { id, tasks } = await makeProject({ mode: 'rank' })
    const phone = await browser.newContext({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true })
    await phone.addCookies(await context.cookies())
    const page = await openTask(`/label/${id}/task`, phone)
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
    await page.getByRole('button', { name: 'Rank B 1' }).tap()
    await page.getByRole('button', { name: 'Rank A 2' }).tap()
    await page.getByRole('button', { name: 'Move A up' }).tap()
    await page.getByRole('button', { name: 'Submit' }).tap()
    await heading(page, 2)
    const { value, shown } = await stored(tasks[0], 1)
    expect(shown.map((i) => value.ranks![i])).toEqual([1, 2, null])
    await phone.close()
  })

  it('keeps a draft over a reload, and a skipped task comes back with what was done', async () => {
    const { id, tasks } = await makeProject({ mode: 'pair', strengths: 3 }, texts.slice(0, 2))
    const page = await openTask(`/label/${id}/task`)
    await press(page, '2')
    await page.reload()
    await page.waitForSelector('.pair .choice[aria-pressed="true"]')
    const pressed = page.locator('.pair .choice[aria-pressed="true"]')
    expect(await pressed.locator('.long').textContent()).toBe('A is clearly better')
    await press(page, 's')
    await page.getByRole('dialog').waitFor()
    await press(page, '2')
    await heading(page, 2)
    expect(await stored(tasks[0], 1)).toMatchObject({ kind: 'skip', reason: 'The prompt is unclear' })
    await press(page, '4 Enter')
    await heading(page, 3)
    await press(page, '7 Enter')
    await heading(page, 1)
    expect(await pressed.locator('.long').textContent()).toBe('A is clearly better')
    await press(page, 'Enter')
    await page.getByText('All done').waitFor()
    const { value, shown } = await stored(tasks[0], 2)
    expect(value.preference).toBe(shown[0] === 0 ? -2 : 2)
    await page.close()
  })

  it('takes a better answer, which becomes the chosen one', async () => {
    const { id, tasks } = await makeProject({ mode: 'best' })
    const page = await openTask(`/label/${id}/task`)
    await press(page, '1 j e')
    await page.keyboard.press('Control+End')
    await page.keyboard.type(' And better.')
    await page.waitForSelector('.editor ins')
    await press(page, 'Control+Enter')
    await heading(page, 2)
    const { value, shown } = await stored(tasks[0], 1)
    const edited = `${texts[shown[1]]} And better.`
    expect(value.edit).toEqual({ text: edited, from: shown[1] })
    const pairs = await preferencesOf(id)
    expect(pairs.filter(({ chosen }) => chosen === edited).map(({ rejected }) => rejected)).toContain(texts[shown[1]])
    expect(pairs.map(({ rejected }) => rejected)).not.toContain(edited)
    await page.close()
  })

  it('marks parts of the Markdown where they stand in the text, with a note', async () => {
    const { id, tasks } = await makeProject({ mode: 'good' }, texts.slice(0, 1))
    const page = await openTask(`/label/${id}/task`)
    await press(page, 'm m b')
    await page.getByPlaceholder('Why?').fill('Too short')
    // A word of the rendered text, selected with the mouse
    await page.locator('.markable strong').dblclick()
    await page.getByRole('toolbar').getByRole('button', { name: 'Good' }).click()
    expect(await page.evaluate(() => CSS.highlights.get('mark-good')!.size)).toBe(1)
    await press(page, 'g Enter')
    await heading(page, 2)
    const { value } = await stored(tasks[0], 1)
    expect(value.good).toBe(true)
    expect(value.spans?.map(({ start, end, mark, note }) => [texts[0].slice(start, end), mark, note])).toEqual([
      ['first', 'good', undefined],
      ['It is short.', 'bad', 'Too short'],
    ])
    await page.close()
  })

  it('shows both votes when a task was changed in another tab, and lets one choose', async () => {
    const { id, tasks } = await makeProject({ mode: 'rank' })
    const [one, two] = [await openTask(`/label/${id}/task`), await openTask(`/label/${id}/task`)]
    await press(one, '1 Enter')
    await heading(one, 2)
    await stored(tasks[0], 1)
    await press(two, 'j 1 Enter')
    const conflict = two.getByRole('alert', { name: 'Two votes on one task' })
    await conflict.waitFor()
    expect(await conflict.locator('strong').allTextContents()).toEqual(['A, 2 unranked', 'B, 2 unranked'])
    await two.getByRole('button', { name: 'Keep mine' }).click()
    const { value, shown } = await stored(tasks[0], 3)
    expect(value.ranks![shown[1]]).toBe(1)
    await expect.poll(() => conflict.count()).toBe(0)
    await Promise.all([one.close(), two.close()])
  })

  it('keeps votes while the studio does not answer, and sends each once when it does', async () => {
    const { id, tasks } = await makeProject({ mode: 'rank' })
    const page = await openTask(`/label/${id}/task`)
    // The next task is here before it is asked for
    await page.waitForTimeout(150)
    await context.setOffline(true)
    await press(page, '1 Enter')
    await page.getByText('One vote is kept in this browser').waitFor()
    await heading(page, 2)
    expect(await votesOf(tasks[0])).toEqual([])
    await context.setOffline(false)
    await page.getByRole('button', { name: 'Try now' }).click()
    await stored(tasks[0], 1)
    await expect.poll(() => page.getByText('kept in this browser').count()).toBe(0)
    await page.close()
  })

  it.each([
    ['rank', texts],
    ['rate', texts.slice(1)],
  ] as const)('has nothing that axe finds wrong, in mode %s', async (mode, responses) => {
    const scales = [{ name: 'Helpful', min: 1, max: 5 }]
    const { id } = await makeProject({ mode, scales }, [...responses])
    const page = await openTask(`/label/${id}/task`)
    await press(page, '1 e')
    await page.keyboard.type('better')
    await press(page, 'Escape n Escape m b')
    await page.waitForSelector('.marks')
    expect(await axeFindings(page)).toEqual([])
    await page.close()
  })
})
