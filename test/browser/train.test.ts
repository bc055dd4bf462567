/** The loop in the studio's page: labels that exist train a tiny model, and a blind re-test says whether that helped. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stories } from '../support/runs.ts'
import { axeFindings, hasBrowser, openBrowser, type StudioProcess, startStudio } from '../support/studioPage.ts'

let root: string
let studio: StudioProcess
let browser: Browser
let page: Page
const errors: string[] = []
beforeAll(async () => {
  if (!hasBrowser) return
  root = mkdtempSync(join(tmpdir(), 'attune-train-'))
  ;[studio, browser] = await Promise.all([startStudio(root), openBrowser()])
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  page.on('pageerror', (error) => errors.push(error.message))
  await page.goto(studio.owner)
  await page.waitForURL(`${studio.url}/`)
}, 30_000)
afterAll(async () => {
  await browser?.close()
  await studio?.close()
  if (root) rmSync(root, { recursive: true })
})

// biome-ignore lint/suspicious/noExplicitAny: a test looks into the answers of all routes
const api = (method: string, path: string, body?: unknown): Promise<any> =>
  page.evaluate(
    async ([method, path, body]) => {
      const headers = body ? { 'content-type': 'application/json' } : undefined
      const response = await fetch(`/api${path}`, { method: method!, headers, body: body ?? undefined })
      return response.json()
    },
    [method, path, body === undefined ? null : JSON.stringify(body)],
  )

/** Votes for the second response, or for the first, of every task of a project. */
const voteAll = async (project: number, better: 0 | 1) => {
  const value = { ranks: better ? [2, 1] : [1, 2], preference: better ? 1 : -1 }
  for (;;) {
    const task = await api('GET', `/projects/${project}/next`)
    if (task.done) return
    const vote = {
      requestId: `v${task.id}`,
      version: task.version,
      value,
      shown: task.shown,
      seconds: 2,
      touched: true,
    }
    await api('POST', `/tasks/${task.id}/votes`, vote)
  }
}

it.skipIf(!hasBrowser)(
  'labels train a model, and its answers are compared blind with those from before',
  async () => {
    const { id } = await api('POST', '/projects', { requestId: 'p', name: 'Stories', settings: { mode: 'pair' } })
    const rows = Array.from({ length: 24 }, (_, i) => ({
      prompt: `Once upon a time, ${['Tom', 'Lily', 'a dog', 'a cat'][i % 4]} had ${i + 2} `,
      responses: [{ text: 'no.' }, { text: 'red balls.' }],
    }))
    await api('POST', `/projects/${id}/import`, { requestId: 'i', rows })
    await page.goto(`${studio.url}/train?project=${id}`)
    await page.getByText('There is nothing to train on yet').waitFor()
    await voteAll(id, 1)

    // The form
    await page.reload()
    await page.getByText('to train on and').waitFor()
    await page.getByRole('button', { name: 'Start the training' }).click()
    await page.getByText('is required').first().waitFor()
    expect(await page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('model')
    await page.getByLabel('Model --model').fill(stories)
    await page.getByLabel('Max steps').fill('3')
    await page.getByLabel('LoRA rank').fill('2')
    // So much that its answers become others
    await page.getByLabel('Learning rate --').fill('0.05')
    await page.getByLabel('Search the settings').fill('batch')
    await page.getByLabel('Batch size').fill('0')
    await page.getByText('0 is too small; it must be above 0').waitFor()
    await page.getByLabel('Batch size').fill('4')
    await page.getByText(/--batch-size 4 --learning|--batch-size 4 /).waitFor()
    expect(await axeFindings(page)).toEqual([])
    await page.getByRole('button', { name: 'Start the training' }).click()

    // The run, then the loop
    await page.waitForURL(`${studio.url}/runs/dpo-1`, { timeout: 15_000 })
    const run = JSON.parse(readFileSync(join(root, 'attune-runs/dpo-1/run.json'), 'utf8'))
    expect(run.config).toMatchObject({ maxSteps: 3, batchSize: 4, loraR: 2 })
    await page.goto(`${studio.url}/train/loop/${id}`)
    await page.getByRole('cell', { name: 'done' }).waitFor({ timeout: 15_000 })
    await page.getByLabel('Prompts, at most').fill('4')
    await page.getByLabel('Tokens of an answer').fill('12')
    await page.getByRole('button', { name: 'Re-test dpo-1 blind' }).click()
    await page.getByText('to be labelled').waitFor({ timeout: 20_000 })
    const [{ project, result }] = await api('GET', `/retests?project=${id}`)
    expect(result.tasks).toBeGreaterThan(0)
    if (project) await voteAll(project, 1)

    await page.reload()
    await page.getByText('Win rate of the trained model').waitFor()
    expect(await axeFindings(page)).toEqual([])
    await page.goto(`${studio.url}/train/jobs/1`)
    await page.getByText('Exit code').waitFor()
    expect(await axeFindings(page)).toEqual([])
    await page.goto(`${studio.url}/train`)
    await page.getByRole('link', { name: 'answers of' }).first().waitFor()
    expect(await axeFindings(page)).toEqual([])
    expect(errors).toEqual([])
  },
  90_000,
)
