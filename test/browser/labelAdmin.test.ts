/**
 * Labelling from the owner's side in a real browser: the first project from a file, people by links, votes that differ,
 * agreement, adjudication, export, the list of tasks, and what an annotator may not see.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Progress, TaskPage, TaskView } from '../../src/studio/labels/api.ts'
import { fixture } from '../support/golden.ts'
import { axeFindings, hasBrowser, openBrowser, type StudioProcess, startStudio } from '../support/studioPage.ts'

const rows = Array.from({ length: 300 }, (_, i) => ({
  prompt: `Question ${i + 1}: how does a ${['kettle', 'bicycle', 'lock'][i % 3]} work?`,
  responses: ['It boils.', 'It turns, <b>slowly</b>.', 'It opens.'].map((text) => `${text} (${i + 1})`),
}))
const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join('')

describe.skipIf(!hasBrowser)('labelling, from the owner’s side', () => {
  let folder: string
  let studio: StudioProcess
  let browser: Browser
  let owner: Page
  let ada: Page
  let links: Record<string, string>

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-label-admin-'))
    await writeFile(join(folder, 'answers.jsonl'), lines)
    ;[studio, browser] = await Promise.all([startStudio(folder), openBrowser()])
    owner = await open(studio.owner.replace('/?', '/label?'))
  })
  afterAll(async () => {
    await browser?.close()
    await studio?.close()
    await rm(folder, { recursive: true })
  })

  const open = async (address: string): Promise<Page> => {
    const page = await (await browser.newContext({ acceptDownloads: true })).newPage()
    page.setDefaultTimeout(15_000)
    await page.goto(address)
    return page
  }
  const to = (path: string) => owner.goto(`${studio.url}${path}`)
  const toast = (page: Page, text: string | RegExp) =>
    page.getByRole('status').filter({ hasText: text }).first().waitFor()

  it('makes the first project from a file, with a mode that fits it', async () => {
    await owner.getByRole('heading', { name: 'Label your first answers' }).waitFor()
    expect(await axeFindings(owner)).toEqual([])
    await owner.getByRole('button', { name: /answers\.jsonl/ }).click()
    await owner.getByText('It boils. (1)').waitFor()
    expect(await owner.getByRole('radio', { name: /^Rank/ }).isChecked()).toBe(true)
    expect(await owner.getByText('proposed: up to 3 responses in each row').count()).toBe(1)
    await owner.getByText('More settings').click()
    await owner.getByLabel('People per task').fill('2')
    expect(await axeFindings(owner)).toEqual([])
    await owner.getByRole('button', { name: 'Start labelling' }).click()
    await owner.waitForURL('**/label/1/task')
    await owner.getByText('It boils. (1)').waitFor()
  })

  it('gives guidelines and links, each shown once', async () => {
    await to('/label/1')
    await owner.getByRole('button', { name: 'Write guidelines' }).click()
    await owner.getByRole('textbox', { name: 'Guidelines' }).fill('# Better\n\nTrue <script>x</script> before *long*.')
    await owner.getByRole('tab', { name: 'Preview' }).click()
    await owner.getByText('True <script>x</script> before').waitFor()
    await owner.getByRole('button', { name: 'Save' }).click()
    await toast(owner, 'Guidelines saved')
    links = {}
    for (const [name, role] of [
      ['Ada', 'annotate'],
      ['Ben', 'annotate'],
      ['Eve', 'adjudicate'],
    ]) {
      await owner.getByRole('button', { name: 'Add a person' }).click()
      await owner.getByLabel('Name').fill(name)
      await owner.getByLabel('Role').selectOption(role)
      await owner.getByRole('button', { name: 'Make the link' }).click()
      links[name] = await owner.getByRole('textbox', { name: 'Link' }).inputValue()
      if (name === 'Ada') expect(await axeFindings(owner)).toEqual([])
      await owner.getByRole('button', { name: 'Done' }).click()
    }
    expect(new Set(Object.values(links)).size).toBe(3)
    await to('/label/people')
    await owner.getByRole('rowheader', { name: 'Eve' }).waitFor()
    expect(await owner.content()).not.toContain(links.Ada.split('=')[1])
    expect(await axeFindings(owner)).toEqual([])
  })

  /** Votes on the first tasks as the page sends them. @param ranks by position of the task */
  const vote = async ({ request }: BrowserContext, tasks: number, ranks: (position: number) => number[]) => {
    for (let id = 1; id <= tasks; id++) {
      const task: TaskView = await (await request.get(`${studio.url}/api/tasks/${id}`)).json()
      const given = {
        requestId: crypto.randomUUID(),
        version: task.version,
        shown: task.shown,
        seconds: 2,
        touched: true,
      }
      const data = { ...given, value: { ranks: ranks(task.position) } }
      const answer = await request.post(`${studio.url}/api/tasks/${task.id}/votes`, {
        data,
        headers: { origin: studio.url },
      })
      expect(answer.status(), await answer.text()).toBe(200)
    }
  }

  it('shows an annotator their project and nothing else', async () => {
    ada = await open(links.Ada.replace('/?', '/label?'))
    await ada.getByRole('link', { name: 'Label next' }).waitFor()
    expect(await ada.getByRole('button', { name: 'New project' }).count()).toBe(0)
    await ada.goto(`${studio.url}/label/1`)
    await ada.getByRole('heading', { name: 'Better' }).waitFor()
    expect(await ada.getByRole('heading', { name: /Export|People|Train/ }).count()).toBe(0)
    expect(await axeFindings(ada)).toEqual([])
    await ada.goto(`${studio.url}/label/1/agreement`)
    await ada.getByText('This page is not open to you').waitFor()
    await ada.goto(`${studio.url}/label/people`)
    await ada.getByText('This page is not open to you').waitFor()
    const refused = ['projects/1/agreement', 'projects/1/export?form=rows', 'annotators', 'tasks/1/history', 'files']
    const statuses = await Promise.all(
      refused.map(async (path) => (await ada.context().request.get(`${studio.url}/api/${path}`)).status()),
    )
    expect(statuses).toEqual(refused.map(() => 403))
  })

  it('takes votes of two people, and shows that they disagree', async () => {
    const ben = await open(links.Ben)
    await vote(ada.context(), 6, () => [1, 2, 3])
    await vote(ben.context(), 6, (position) => (position === 4 ? [3, 2, 1] : position === 5 ? [1, 3, 2] : [1, 2, 3]))
    await ben.context().close()
    // What Ada is told of a task holds nothing of Ben's
    const task: TaskView = await (await ada.context().request.get(`${studio.url}/api/tasks/4`)).json()
    expect(JSON.stringify(task)).not.toContain('Ben')
    expect(task.vote?.value.ranks).toEqual([1, 2, 3])
    const mine: TaskPage = await (await ada.context().request.get(`${studio.url}/api/projects/1/tasks`)).json()
    expect(JSON.stringify(mine.rows)).not.toContain('Ben')
    const progress: Progress = await (await ada.context().request.get(`${studio.url}/api/projects/1/progress`)).json()
    expect(progress.own.labelled).toBe(6)

    await to('/label/1/agreement')
    await owner.getByText('From 6 tasks that two people or more labelled').waitFor()
    const kappa = owner.getByRole('listitem').filter({ hasText: 'Cohen’s kappa' })
    // 18 pairs, 4 of them decided in opposite ways
    expect(Number(/-?\d\.\d\d/.exec((await kappa.textContent()) ?? '')?.[0])).toBeLessThan(0.9)
    await owner.getByRole('rowheader', { name: 'Ben' }).waitFor()
    expect(await owner.getByRole('row', { name: /^Ada 6 0/ }).count()).toBe(1)
    expect(await axeFindings(owner)).toEqual([])
  })

  it('finds tasks by search, state and keyboard, and shows their history', async () => {
    await to('/label/1/tasks')
    await owner.getByText('300 tasks', { exact: true }).waitFor()
    expect(await owner.getByRole('row').count()).toBeLessThan(60)
    expect(await axeFindings(owner)).toEqual([])
    await owner.getByRole('searchbox').fill('KETTLE')
    await owner.getByText('100 tasks', { exact: true }).waitFor()
    await owner.getByRole('combobox', { name: 'State' }).selectOption('finished')
    await owner.getByText('2 tasks', { exact: true }).waitFor()
    await owner.getByRole('combobox', { name: 'Annotator' }).selectOption('Ben')
    await owner.getByRole('button', { name: 'Disagree' }).click()
    await owner.waitForURL(/sort=/)
    await owner.getByRole('grid').focus()
    await owner.keyboard.press('End')
    await owner.keyboard.press('Home')
    await owner.keyboard.press('h')
    const panel = owner.getByRole('dialog')
    await panel.getByText('3 > 2 > 1').waitFor()
    await panel.getByText('1 > 2 > 3').waitFor()
    expect(await axeFindings(owner)).toEqual([])
    await owner.keyboard.press('Escape')
    await owner.getByRole('searchbox').fill('no such words')
    await owner.getByRole('button', { name: 'Show all tasks' }).click()
    await owner.getByText('300 tasks', { exact: true }).waitFor()
    await owner.getByRole('grid').focus()
    // The most disputed is the first
    await owner.keyboard.press('ArrowDown')
    await owner.keyboard.press('Enter')
    await owner.waitForURL('**/label/1/task/5')
  })

  it('decides where people disagree, the most disputed first', async () => {
    await to('/label/1/adjudicate')
    await owner.getByText('2 tasks to decide').waitFor()
    expect(await axeFindings(owner)).toEqual([])
    await owner.getByRole('link', { name: 'Decide the first' }).click()
    await owner.waitForURL('**/label/1/task/4?adjudicate=1')
    await owner.getByRole('button', { name: 'Take the vote of Ben' }).click()
    await owner.keyboard.press('Control+Enter')
    // Then comes the other one
    await owner.getByText('It boils. (5)').waitFor()
    await to('/label/1/adjudicate')
    await owner.getByText('1 task to decide').waitFor()
  })

  it('exports the rows as they were decided', async () => {
    await to('/label/1')
    await owner.getByLabel('The first rows').waitFor()
    expect(await axeFindings(owner)).toEqual([])
    const [download] = await Promise.all([
      owner.waitForEvent('download'),
      owner.getByRole('link', { name: 'Download' }).click(),
    ])
    const text = await readFile(await download.path(), 'utf8')
    const exported = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(exported).toHaveLength(6)
    const fourth = exported.find(({ prompt }) => prompt === rows[3].prompt)
    expect(fourth.responses).toEqual(rows[3].responses)
    expect(fourth.ranks).toEqual([3, 2, 1])
  })

  it('changes settings, and deletes a project only by its name', async () => {
    await to('/label')
    await owner.getByRole('button', { name: 'New project' }).click()
    await owner.getByRole('button', { name: 'Start without a file' }).click()
    await owner.getByLabel('Name of the project').fill('Second')
    await owner.getByRole('radio', { name: /^Rate/ }).click()
    await owner.getByText('More settings').click()
    await owner.getByRole('button', { name: 'Add a scale' }).click()
    await owner.getByRole('button', { name: 'Make the project' }).click()
    await owner.waitForURL('**/label/2')
    await owner.getByRole('heading', { name: 'Add the rows to label' }).waitFor()
    await to('/label/2/settings')
    await owner.getByLabel('Lowest means').first().fill('useless')
    await owner.getByRole('button', { name: 'Save' }).click()
    await toast(owner, 'Settings saved')
    expect(await axeFindings(owner)).toEqual([])
    await owner.getByRole('button', { name: 'Delete…' }).click()
    const button = owner.getByRole('button', { name: 'Delete the project' })
    expect(await button.isDisabled()).toBe(true)
    await owner.getByLabel('Type Second to go on').fill('Second')
    await button.click()
    await owner.waitForURL('**/label')
    await toast(owner, 'Second was deleted')
    await owner.getByRole('heading', { name: 'answers' }).waitFor()
    expect(await owner.getByRole('heading', { level: 2 }).allInnerTexts()).toEqual(['answers'])
  })

  it('sets a project up from a template of Label Studio', async () => {
    await to('/label')
    await owner.getByRole('button', { name: 'New project' }).click()
    await owner.getByLabel('File of rows').setInputFiles(fixture('labelStudio/ranker.xml'))
    await owner.getByText('The template says how people label').waitFor()
    await owner.getByRole('button', { name: 'Make the project' }).click()
    await owner.getByRole('heading', { name: 'Add the rows to label' }).waitFor()
    await owner.getByRole('button', { name: 'Add rows' }).click()
    await owner.getByRole('button', { name: /answers\.jsonl/ }).click()
    await owner.getByRole('dialog').getByRole('button', { name: 'Add the rows' }).click()
    await owner.getByRole('link', { name: 'Start labelling' }).click()
    const panel = owner.locator('.text-panel').first()
    await panel.waitFor()
    expect(await panel.evaluate((element) => getComputedStyle(element).borderRadius)).toBe('10px')
  })

  it('ends a link at once', async () => {
    await to('/label/people')
    await owner.getByRole('button', { name: 'Revoke the link of Ada' }).click()
    await owner.getByRole('button', { name: 'Revoke the link', exact: true }).click()
    await toast(owner, 'The link of Ada is not valid any more')
    expect((await ada.context().request.get(`${studio.url}/api/projects`)).status()).toBe(401)
  })
})
