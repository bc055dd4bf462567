/** Two hundred hostile strings, wherever the studio shows what others wrote: they are text, and nothing of them is run. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { hostileStrings } from '../support/hostileStrings.ts'
import { hasBrowser, openBrowser, type StudioProcess, startStudio } from '../support/studioPage.ts'

const perTask = 25
const tag = '<img src=x onerror="window.stolen=1">'

describe.skipIf(!hasBrowser)('hostile strings', () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-hostile-'))
  let studio: StudioProcess
  let browser: Browser
  let page: Page
  const seen: string[] = []

  const send = async (path: string, body: object) => {
    const token = new URL(studio.owner).searchParams.get('token')
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const response = await fetch(`${studio.url}/api${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    return { status: response.status, body: await response.json() }
  }
  let last = 0
  const requestId = () => `hostile-${++last}`
  const project = async (name: string, more: object = {}) =>
    (await send('/projects', { requestId: requestId(), name, ...more })).body.id as number

  beforeAll(async () => {
    const run = join(folder, 'runs', tag.replaceAll('/', ' '))
    mkdirSync(run, { recursive: true })
    writeFileSync(
      join(run, 'trainer_state.json'),
      JSON.stringify({ global_step: 2, log_history: [1, 2].map((step) => ({ step, loss: 1 / step, [tag]: step })) }),
    )
    const report = join(folder, 'reports')
    mkdirSync(report)
    writeFileSync(
      join(report, 'report.html'),
      `<!doctype html><meta content="default-src 'none'; style-src 'unsafe-inline'"/><title>report ${tag.replaceAll('<', '&#60;')}</title><script>parent.stolen = top.stolen = 1</script>${tag}<h1>report</h1>`,
    )
    const opening = openBrowser()
    studio = await startStudio(folder)
    browser = await opening
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
    page.on('request', (request) => {
      if (!request.url().startsWith(studio.url) && !/^(data|blob|about):/.test(request.url()))
        seen.push(`request ${request.url()}`)
    })
    page.on('dialog', (dialog) => {
      seen.push(`dialog ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on('pageerror', (error) => seen.push(error.message))
    page.on('popup', (popup) => seen.push(`window ${popup.url()}`))
    await page.goto(studio.owner)
    await page.waitForSelector('main h1')
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await studio?.close()
    rmSync(folder, { recursive: true })
  })
  beforeEach(() => {
    seen.length = 0
  })

  /** Opens a page. @returns its text */
  const open = async (path: string, ready = 'main h1') => {
    await page.goto(studio.url + path)
    await page.waitForSelector(ready)
    await page.waitForTimeout(200)
    return (await page.evaluate(() => document.querySelector('main')!.textContent)) ?? ''
  }
  const expectNothingRan = async () => {
    expect(seen).toEqual([])
    expect(await page.evaluate(() => (window as { stolen?: unknown }).stolen)).toBeUndefined()
    expect(await page.evaluate(() => document.querySelectorAll('main script, main iframe, main object').length)).toBe(0)
    expect(new URL(page.url()).origin).toBe(studio.url)
  }

  it('are names of projects, letter by letter', async () => {
    const stored: string[] = []
    for (const name of hostileStrings)
      if ((await send('/projects', { requestId: requestId(), name })).status < 300) stored.push(name.trim())
    expect(stored.length).toBeGreaterThan(150)
    const text = await open('/label')
    expect(stored.filter((name) => !text.includes(name))).toEqual([])
    await expectNothingRan()
  })

  it('are prompts and responses: markup is shown, not obeyed', async () => {
    const id = await project('hostile responses', { guidelines: hostileStrings.slice(0, 120).join('\n\n') })
    const rows = Array.from({ length: hostileStrings.length / perTask }, (_, n) => ({
      prompt: hostileStrings[n * perTask],
      responses: hostileStrings
        .slice(n * perTask, (n + 1) * perTask)
        .map((text) => ({ text, source: text.slice(0, 200) })),
    }))
    const { body } = await send(`/projects/${id}/import`, { requestId: requestId(), rows })
    expect(body).toMatchObject({ added: rows.length })
    const { rows: tasks } = await page.evaluate(
      async (id) => (await fetch(`/api/projects/${id}/tasks?limit=100`)).json(),
      id,
    )
    expect(await open(`/label/${id}`)).toContain('window.stolen=1')
    await expectNothingRan()
    for (const { id: task, position } of tasks as { id: number; position: number }[]) {
      const text = await open(`/label/${id}/task/${task}`, '[data-response], .response-text')
      const strings = hostileStrings.slice((position - 1) * perTask, position * perTask)
      const lost = strings.filter(
        (one) => one.startsWith('<') && one.includes('stolen=1') && !text.includes('stolen=1'),
      )
      expect(lost, `task ${position}`).toEqual([])
      await expectNothingRan()
    }
  }, 60_000)

  it('are names of runs, of their measures and of annotators', async () => {
    const annotator = await send('/annotators', { requestId: requestId(), name: tag, role: 'annotate', projects: [] })
    expect(annotator.status).toBe(200)
    expect(await open('/label/people')).toContain(tag)
    await expectNothingRan()
    const name = tag.replaceAll('/', ' ')
    expect(await open('/runs')).toContain(name)
    await expectNothingRan()
    expect(await open(`/runs/runs/${encodeURIComponent(name)}`)).toContain(name)
    await expectNothingRan()
  })

  it('are reports, whose scripts are not run', async () => {
    expect(await open('/reports')).toContain(`report ${tag}`)
    await expectNothingRan()
    await open('/reports?path=reports%2Freport.html', 'main iframe')
    expect(await page.frames()[1].locator('h1').textContent()).toBe('report')
    await page.waitForTimeout(300)
    expect(seen).toEqual([])
    expect(page.frames().length).toBe(2)
    expect(await page.evaluate(() => (window as { stolen?: unknown }).stolen)).toBeUndefined()
    for (const frame of page.frames())
      expect(await frame.evaluate(() => (window as { stolen?: unknown }).stolen).catch(() => undefined)).toBeUndefined()
  })
})
