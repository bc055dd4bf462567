/** Workers on the studio's pages of runs: live, with a Redis that goes away and comes back, and used by a training of the form. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Job } from '../../src/studio/jobs/api.ts'
import { hasRedis, openRedis, startWorker, type TestRedis, type TestWorker } from '../support/redis.ts'
import { stories } from '../support/runs.ts'
import { axeFindings, hasBrowser, openBrowser, type StudioProcess, startStudio } from '../support/studioPage.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

const password = 'the-password-of-redis'

describe.skipIf(!hasBrowser || !hasRedis())('workers in the browser', () => {
  let folder: string
  let redis: TestRedis
  let worker: TestWorker
  let studio: StudioProcess
  let browser: Browser
  let page: Page
  let said = ''
  const complaints: string[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-panel-'))
    const rows = Array.from({ length: 40 }, (_, i) => ({ prompt: `Once ${i}`, completion: ' there was a dog.' }))
    await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    redis = await openRedis(['--requirepass', password], { user: `:${password}@` })
    worker = startWorker(redis.url, join(folder, 'cache'), ['--name', '<b>a</b>'])
    ;[studio, browser] = await Promise.all([startStudio(folder, ['--workers', redis.url]), openBrowser()])
    studio.child.stderr!.on('data', (text) => (said += text))
    await worker.until('ready')
    page = await browser.newPage()
    page.setDefaultTimeout(20_000)
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(studio.owner)
    await page.getByRole('navigation', { name: 'Parts of the studio' }).waitFor()
  })
  afterAll(async () => {
    await browser?.close()
    await studio?.close()
    await worker?.kill()
    await redis?.close()
    await rm(folder, { recursive: true, force: true })
  })

  const token = () => new URL(studio.owner).searchParams.get('token')
  const send = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const headers = { authorization: `Bearer ${token()}`, 'content-type': 'application/json' }
    const response = await fetch(`${studio.url}/api${path}`, { method, headers, body: body && JSON.stringify(body) })
    const text = await response.text()
    said += text
    expect(response.ok, text).toBe(true)
    return JSON.parse(text) as T
  }
  /** The first event of a topic, as it goes over the line. */
  const heard = async (topic: string) => {
    const end = new AbortController()
    const { body } = await fetch(`${studio.url}/api/live?topic=${topic}`, {
      ...{ headers: { authorization: `Bearer ${token()}` }, signal: end.signal },
    })
    let text = ''
    for await (const chunk of body!) {
      text += Buffer.from(chunk)
      if (text.includes(`"topic":"${topic}"`) && text.endsWith('\n\n')) break
    }
    end.abort()
    said += text
    return text
  }

  it('show who works on what as it changes, and go on when Redis was away', async () => {
    await page.goto(`${studio.url}/runs`)
    const entry = page.getByRole('list', { name: 'Workers' }).getByRole('listitem')
    await entry
      .filter({ hasText: /^<b>a<\/b> .*, 1 thread of .*waits for a shard0 shards doneseen \d s ago$/ })
      .waitFor()
    const settings = {
      ...{
        model: stories,
        data: ['rows.jsonl'],
        output: 'attune-runs/shared',
        workers: `redis://127.0.0.1:${redis.port}`,
      },
      ...{ batchSize: 1, gradAccum: 4, loraR: 4, maxSteps: 100_000, epochs: 100_000, maxLength: 64, threads: 1 },
    }
    const job = await send<Job>('POST', '/jobs', { kind: 'train', method: 'sft', settings })
    const runs = page.getByRole('list', { name: 'Runs that share their work out' }).getByRole('listitem')
    await runs.filter({ hasText: /^attune-runs\/shared on .* for \d+ s \d+ waiting, [1-9]\d* done/ }).waitFor()
    await entry.filter({ hasText: /[1-9]\d* shards done/ }).waitFor()
    expect(await axeFindings(page)).toEqual([])
    expect(await heard('workers')).toContain('"name":"<b>a</b>"')

    await page.setViewportSize({ width: 360, height: 780 })
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
    await redis.kill()
    const away = page.getByText(/^Redis does not answer \(connect ECONNREFUSED .*This is how it stood \d+ s ago/)
    await away.waitFor()
    expect(await entry.count()).toBe(1)
    expect(await axeFindings(page)).toEqual([])
    await heard('workers')
    await redis.start()
    await away.waitFor({ state: 'detached' })
    await entry.filter({ hasText: /gradient/ }).waitFor()

    await page.goto(`${studio.url}/runs/shared`)
    await page.getByText(/^Shared out: \d+ waiting, [1-9]\d* done\. At work: <b>a<\/b>$/).waitFor()
    await send('POST', `/jobs/${job.id}/stop`)
    await page.getByText('stopped', { exact: true }).waitFor()
    await send('GET', `/jobs/${job.id}`)
    expect(worker.events.filter(({ event }) => event === 'shard').length).toBeGreaterThan(4)
    expect(complaints).toEqual([])
  })

  it('tell nobody the password of Redis or the token of a run, nor keep them', async () => {
    await send('GET', '/workers')
    expect(said).toContain(`redis://127.0.0.1:${redis.port}`)
    for (const name of await readdir(folder, { recursive: true, withFileTypes: true }))
      if (name.isFile() && /json|txt|log/.test(name.name))
        said += await readFile(join(name.parentPath, name.name), 'utf8')
    expect(said).toContain('"--workers"')
    expect(said).not.toContain(password)
    expect(said).not.toMatch(/"(token|address)":"http|"token"/)
    const refused = await fetch(`${studio.url}/api/jobs/check`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ method: 'sft', settings: { workers: redis.url } }),
    })
    const { problems } = (await refused.json()) as { problems: { key: string; message: string }[] }
    expect(problems.find(({ key }) => key === 'workers')?.message).toMatch(
      /^may hold no password here; start the studio/,
    )
  })
})
