/** The playground in a browser: two models side by side, stop, probabilities, another token, the choice, both themes. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addStories, openPlayStudio } from '../support/studioPlay.ts'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe finds, by rule and place. */
const violations = async (page: Page): Promise<string[]> => {
  await page.evaluate(axe)
  return page.evaluate(async () => {
    // @ts-expect-error: axe defines it
    const { violations } = await window.axe.run()
    return violations.map(
      ({ id, nodes }: { id: string; nodes: { html: string }[] }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`,
    )
  })
}

describe.skipIf(!existsSync(executablePath))('the playground in a browser', () => {
  let browser: Browser
  let play: Awaited<ReturnType<typeof openPlayStudio>>
  beforeAll(async () => {
    play = await openPlayStudio()
    // The second is a name that would be markup
    for (const name of ['tiny', 'a <img src=x onerror=alert(1)>']) await addStories(join(play.root, name))
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  })
  afterAll(async () => {
    await browser?.close()
    await play.close()
  })

  it('talks with two models, stops, goes on from another token, and stores the choice', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(play.studio.ownerUrl.replace('/?', '/play?'))
    const choose = async (button: string, model: string) => {
      await page.getByRole('button', { name: button }).first().click()
      await page.getByRole('dialog').getByRole('button', { name: model, exact: true }).click()
    }
    await choose('Choose a model', 'tiny')
    await choose('Add a model', 'a <img src=x onerror=alert(1)>')
    const answers = page.locator('.answer')
    const done = () =>
      expect
        .poll(async () => [await answers.count(), await page.locator('.answer[aria-busy=true]').count()], {
          timeout: 20_000,
        })
        .toEqual([2, 0])

    // Enter sends; Escape stops what would go on for long
    await page.getByLabel('Max new tokens').fill('400')
    await page.getByLabel('Message').fill('Once upon a time')
    await page.keyboard.press('Enter')
    await page.locator('.answer .prose').first().waitFor({ timeout: 20_000 })
    await page.keyboard.press('Escape')
    await done()
    expect(await page.getByText('stopped', { exact: true }).count()).toBeGreaterThan(0)

    // The same seed: the same answers, with their probabilities
    await page.getByLabel('Max new tokens').fill('12')
    await page.getByRole('radio', { name: 'Tokens' }).click()
    await page.keyboard.press('r')
    await done()
    const texts = () => page.locator('.tokens').allTextContents()
    const [first, second] = await texts()
    expect([first.length > 10, second]).toEqual([true, first])
    await page.locator('.answer').first().locator('[data-token="2"]').hover()
    const alternatives = page.getByRole('dialog', { name: 'Alternatives to the token' })
    await alternatives.getByText('log-prob').waitFor()
    const other = alternatives.locator('button:enabled').first()
    const token = (await other.locator('code').textContent())!.replace('Go on with ', '').replaceAll('␣', ' ')
    await other.click()
    await done()
    const [changed] = await texts()
    const begun = (
      await page.locator('.answer').first().locator('[data-token="0"], [data-token="1"]').allTextContents()
    ).join('')
    expect([first.startsWith(begun), changed.startsWith(begun + token), changed === first]).toEqual([true, true, false])

    expect(await violations(page)).toEqual([])
    await page.getByLabel('Message').blur()
    await page.keyboard.press('2')
    await page.getByText('Saved in').waitFor()
    const [{ id, name, progress }] = await play.ask('GET', '/projects')
    expect([name, progress.votes]).toEqual(['playground', 1])
    const { rows } = await play.ask('GET', `/projects/${id}/tasks`)
    const task = await play.ask('GET', `/tasks/${rows[0].id}?adjudicate=1`)
    expect(task).toMatchObject({
      prompt: [{ role: 'user', content: 'Once upon a time' }],
      responses: [{ text: changed, source: 'tiny' }, { text: second }],
      votes: [{ value: { ranks: [2, 1] } }],
    })

    // Blind: no name is shown until the choice
    await page.getByLabel('Blind').check()
    await page.getByLabel('Message').fill('Then')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.getByText('hidden until you choose').count()).toBe(2)
    await page.emulateMedia({ colorScheme: 'dark' })
    await page.setViewportSize({ width: 360, height: 740 })
    await expect.poll(() => page.locator('.answer[aria-busy=true]').count(), { timeout: 20_000 }).toBe(0)
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
    expect(await violations(page)).toEqual([])
    await page.locator('main').click({ position: { x: 5, y: 5 } })
    await page.keyboard.press('t')
    await page.getByText('Saved in').nth(1).waitFor()
    expect(await page.getByText('hidden until you choose').count()).toBe(0)

    // What was said is found again after the page was closed
    await page.reload()
    await page.getByRole('button', { name: 'Earlier conversations' }).click()
    await page.getByRole('button', { name: /^Once upon a time/ }).click()
    expect(await page.getByText(changed).count()).toBeGreaterThan(0)
    expect(complaints).toEqual([])
    expect(play.errors).toEqual([])
    await page.close()
  })
})
