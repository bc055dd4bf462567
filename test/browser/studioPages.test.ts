/**
 * Every page of the studio in a browser, where chromium is installed: what axe finds in both themes, what the content security
 * policy and the console say, whether a page scrolls sideways on a phone, and what its scripts weigh compressed. One studio, one browser, one tab.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { axeFindings, hasBrowser, openBrowser } from '../support/studioPage.ts'

const { fillStore, makeFolder, openStudio, pagesOf } = await import(
  new URL('../../docs/studio/demonstration.mjs', import.meta.url).href
)
/** The store of the demonstration numbers its projects in order. */
const pages: { name: string; path: string }[] = pagesOf({ projects: [1, 2, 3, 4, 5, 6] })

describe.skipIf(!hasBrowser)('the pages of the studio', () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-pages-'))
  let studio: { url: string; owner: string; close(): Promise<void> }
  let browser: Browser
  let page: Page
  let said: string[] = []

  beforeAll(async () => {
    makeFolder(folder)
    const opening = openBrowser()
    studio = await openStudio(folder)
    await fillStore(studio)
    browser = await opening
    page = await browser.newPage({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' })
    page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', (error) => said.push(error.message))
    await page.goto(studio.owner)
    await page.waitForSelector('main h1')
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await studio?.close()
    rmSync(folder, { recursive: true })
  }, 60_000)

  it.each(pages)('$name', async ({ path }) => {
    said = []
    await page.setViewportSize({ width: 1280, height: 800 })
    await page.goto(studio.url + path)
    await page.waitForSelector('main h1')
    // What the page asks for next has come
    await page.waitForTimeout(250)
    const accessibility = await axeFindings(page)
    const scripts = await page.evaluate(() => {
      const files = performance.getEntriesByType('resource') as PerformanceResourceTiming[]
      return files.filter(({ name }) => name.endsWith('.js')).reduce((sum, file) => sum + file.encodedBodySize, 0)
    })
    expect(scripts).toBeGreaterThan(50_000)
    expect(scripts).toBeLessThan(300_000)
    await page.setViewportSize({ width: 360, height: 780 })
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    expect({ accessibility, said, width }).toEqual({ accessibility: [], said: [], width: 360 })
  })

  it('say what to do to somebody without a link', async () => {
    const context = await browser.newContext()
    const tab = await context.newPage()
    await tab.goto(studio.url)
    await tab.waitForSelector('[role=alert]')
    expect(await tab.textContent('[role=alert]')).toContain('open the address that attune studio printed')
    await context.close()
  })
})
