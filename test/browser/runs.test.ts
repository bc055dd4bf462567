/** The studio's pages of runs in a browser: a training that is watched live, runs compared, samples by step, the page saved. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { fixture } from '../support/golden.ts'
import { root as project } from '../support/project.ts'
import { axeFindings, hasBrowser, openBrowser, type StudioProcess, startStudio } from '../support/studioPage.ts'

const model = fixture('models/llama-tied')
const lines = (events: readonly object[]) => events.map((event) => `${JSON.stringify(event)}\n`).join('')

describe.skipIf(!hasBrowser)('runs in the browser', () => {
  let folder: string
  let studio: StudioProcess
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let trainer: ChildProcess | undefined
  const complaints: string[] = []

  const addRun = async (name: string, rate: number, events: readonly object[]) => {
    const dir = join(folder, 'attune-runs', name)
    await mkdir(dir, { recursive: true })
    const info = {
      ...{ format: 1, method: 'grpo', created: '2026-01-02T03:04:05Z', command: ['attune', 'grpo'] },
      ...{ config: { learningRate: rate }, versions: {}, machine: {}, resumes: [], total_steps: 50 },
    }
    await writeFile(join(dir, 'run.json'), JSON.stringify(info))
    const steps = Array.from({ length: 50 }, (_, i) => ({ event: 'step', step: i + 1, loss: 1, reward: i * rate }))
    await writeFile(
      join(dir, 'events.jsonl'),
      lines([...steps, ...events, { event: 'end', steps: 50, stopped: 'done' }]),
    )
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-runs-'))
    const rows = Array.from({ length: 8 }, (_, i) => ({ prompt: [5 + i, 9], completion: [17 + i, 33] }))
    await writeFile(join(folder, 'rows.jsonl'), lines(rows))
    const samples = [1, 25, 50].map((step) => ({
      event: 'sample',
      step,
      prompt: 'Say it',
      completion: `at ${step}`,
      reward: step,
    }))
    await addRun('first', 0.1, samples)
    await addRun('<img src=x onerror=alert(1)>', 0.2, [])
    ;[studio, browser] = await Promise.all([startStudio(folder), openBrowser()])
    context = await browser.newContext({ acceptDownloads: true })
    page = await context.newPage()
    page.setDefaultTimeout(15_000)
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(studio.owner)
    // The token leaves the address by a second load
    await page.getByRole('navigation', { name: 'Parts of the studio' }).waitFor()
  })
  afterAll(async () => {
    trainer?.kill('SIGKILL')
    await browser?.close()
    await studio?.close()
    await rm(folder, { recursive: true })
  })

  it('show a training as it goes on, without a reload, stop it and go on with it', async () => {
    await page.goto(`${studio.url}/runs`)
    await page.getByRole('link', { name: 'first' }).waitFor()
    const output = join(folder, 'attune-runs', 'live')
    const flags = ['--data', 'rows.jsonl', '--max-steps', '100000', '--epochs', '100000', '--batch-size', '2']
    trainer = spawn(
      process.execPath,
      [join(project, 'bin/attune.js'), 'sft', '--model', model, ...flags, '--threads', '1', '--output', output],
      { cwd: folder, stdio: 'ignore' },
    )
    const ended = new Promise((done) => trainer!.once('exit', done))
    // The new run comes into the list by itself
    await page.getByRole('link', { name: 'live' }).click()
    const chart = page.getByRole('img', { name: /^Loss: training from/ })
    const before = await chart.getAttribute('aria-label')
    await vi.waitFor(async () => expect(await chart.getAttribute('aria-label')).not.toBe(before), 5000)
    const steps = page.locator('.figure', { hasText: 'Steps' }).locator('dd > span')
    const made = Number((await steps.textContent())?.replace(',', ''))
    await vi.waitFor(
      async () => expect(Number((await steps.textContent())?.replace(',', ''))).toBeGreaterThan(made),
      3000,
    )
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByText('stopped', { exact: true }).waitFor()
    expect(await ended).toBe(130)
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByText('running', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByText('stopped', { exact: true }).waitFor()
  })

  it('are laid over each other, with the settings that differ', async () => {
    await page.goto(`${studio.url}/runs`)
    await page.getByRole('checkbox', { name: 'Choose first' }).check()
    await page.getByRole('checkbox', { name: 'Choose <img src=x onerror=alert(1)>' }).check()
    await page.getByRole('button', { name: 'Compare 2 runs' }).click()
    await page.getByRole('img', { name: /^Reward: first, training from 0 to 4.9; <img .*from 0 to 9.8/ }).waitFor()
    const differences = page.getByRole('region', { name: 'Settings that differ' }).getByRole('row')
    expect(await differences.allTextContents()).toContain('--learning-rate0.10.2')
    expect(await axeFindings(page)).toEqual([])
  })

  it('are zoomed by typing, smoothed and searched', async () => {
    await page.getByRole('spinbutton', { name: 'To step' }).fill('10')
    await page.getByRole('img', { name: /^Reward: first, training from 0 to 0.9;/ }).waitFor()
    await page.getByRole('slider', { name: 'Smoothing' }).fill('5')
    await page
      .getByRole('img', { name: /first, smoothed from 0/ })
      .first()
      .waitFor()
    await page.getByRole('searchbox', { name: 'Search metrics' }).fill('loss')
    await vi.waitFor(async () => expect(await page.locator('figure').count()).toBe(1))
  })

  it('have the samples of a prompt at the step of a slider', async () => {
    await page.goto(`${studio.url}/runs/first`)
    await page.getByRole('tab', { name: 'Samples' }).click()
    await page.getByText('at 50').waitFor()
    const slider = page.getByRole('slider', { name: /Step/ })
    await slider.press('ArrowLeft')
    await page.getByText('at 25').waitFor()
    await slider.press('Home')
    await page.getByText('at 1', { exact: true }).waitFor()
    expect(await axeFindings(page)).toEqual([])
  })

  it('are saved as a page of their own and as CSV, and take new points and tags', async () => {
    const save = async (name: string) => {
      await page.getByRole('button', { name: 'More' }).click()
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name }).click()])
      return readFile(await file.path(), 'utf8')
    }
    expect(await save('Save the page as HTML')).toContain('grpo: training reward 0.4500 → 4.450')
    expect((await save('Save the curves as CSV')).split('\r\n')[2]).toBe('step,2,1,0.1')
    await page.getByRole('button', { name: 'Add a tag' }).click()
    await page.getByRole('textbox', { name: 'New tag' }).fill('keeper')
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Remove the tag keeper' }).waitFor()
    await page.getByRole('tab', { name: 'Curves' }).click()
    await page.getByRole('img', { name: 'Reward: training from 0 to 4.9' }).waitFor()
    await appendFile(join(folder, 'attune-runs/first/events.jsonl'), lines([{ event: 'step', step: 51, reward: 77 }]))
    await page.getByRole('img', { name: 'Reward: training from 0 to 77' }).waitFor({ timeout: 3000 })
    expect(await axeFindings(page)).toEqual([])
  })

  it('are listed without a fault of axe, and no name or report ran as a script', async () => {
    await page.goto(`${studio.url}/runs`)
    await page.getByRole('row', { name: /first.*keeper/ }).waitFor()
    expect(await axeFindings(page)).toEqual([])
    await writeFile(
      join(folder, 'report.html'),
      `<meta content="default-src 'none'; style-src 'unsafe-inline'"><title>attune compare: x</title><h1>Here</h1><script>top.location='about:blank'</script>`,
    )
    await page.goto(`${studio.url}/reports`)
    await page.getByRole('link', { name: 'attune compare: x' }).click()
    await page.frameLocator('iframe').getByRole('heading', { name: 'Here' }).waitFor()
    expect(page.url()).toContain('/reports?path=report.html')
    // The browser says that the frame's script was not run; that is the only complaint
    expect(complaints.filter((text) => !/script/i.test(text))).toEqual([])
  })
})
