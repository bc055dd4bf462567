/**
 * What a page of the studio weighs and how soon it answers, in Chromium on this machine: `npm run bench:studio-page [FOLDER]`
 * opens the built studio on a demonstration folder (or on FOLDER as it is) and prints a table. Each page is opened with an empty
 * cache after the server is warm; the best of three.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { fillStore, makeFolder, openStudio, pagesOf } from '../docs/studio/demonstration.mjs'

const tries = 3
const given = process.argv[2]
const folder = given ?? mkdtempSync(join(tmpdir(), 'attune-studio-page-'))
if (!given) makeFolder(folder)
const studio = await openStudio(folder)
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})

/** One visit with an empty cache. Times are in milliseconds from the start of the navigation. */
const visit = async (path) => {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(studio.owner, { waitUntil: 'networkidle' })
  const session = await context.newCDPSession(page)
  await session.send('Network.enable')
  await session.send('Network.clearBrowserCache')
  const files = new Map()
  session.on('Network.responseReceived', ({ requestId, response }) => files.set(requestId, { url: response.url, bytes: 0 }))
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const file = files.get(requestId)
    if (file) file.bytes = encodedDataLength
  })
  await page.addInitScript(() => {
    const seen = new MutationObserver(() => {
      if (window.readyAt || !document.querySelector('main :is(h1, h2)')) return
      requestAnimationFrame(() => (window.readyAt ??= performance.now()))
    })
    seen.observe(document, { childList: true, subtree: true })
    const onKey = ({ timeStamp }) => {
      const answered = new MutationObserver(() => {
        if (!document.querySelector('[role=dialog]')) return
        answered.disconnect()
        requestAnimationFrame(() => (window.keyTook ??= performance.now() - timeStamp))
      })
      answered.observe(document.body, { childList: true, subtree: true })
    }
    // Before those of the page
    window.addEventListener('keydown', onKey, { capture: true })
  })
  await page.goto(studio.url + path)
  await page.waitForFunction(() => window.readyAt)
  await page.waitForTimeout(300)
  const loaded = [...files.values()].filter(({ bytes }) => bytes > 0)
  // What the page loads for later has come, too
  await page.waitForTimeout(1500)
  // Where a page begins in a field, a key is text
  await page.evaluate(() => document.activeElement?.blur())
  await page.keyboard.press('?')
  await page.waitForFunction(() => window.keyTook)
  const times = await page.evaluate(() => ({
    painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    ready: window.readyAt,
    key: window.keyTook,
  }))
  await context.close()
  return { ...times, loaded }
}

const kilobytes = (files, pattern) =>
  files.filter(({ url }) => pattern.test(new URL(url).pathname)).reduce((sum, { bytes }) => sum + bytes, 0) / 1000

try {
  const places = given ? { projects: [1, 2, 3, 4, 5, 6] } : await fillStore(studio)
  const scripts = new Map()
  console.log('| page | script, kB | style, kB | fonts, kB | data, kB | first paint, ms | ready, ms | first key, ms |')
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- |')
  for (const { name, path } of pagesOf(places)) {
    const visits = []
    for (let i = 0; i < tries; i++) visits.push(await visit(path))
    const { loaded } = visits[0]
    for (const { url, bytes } of loaded) if (url.endsWith('.js')) scripts.set(new URL(url).pathname, bytes)
    const best = (key) => Math.round(Math.min(...visits.map((times) => times[key])))
    const weights = [/\.js$/, /\.css$/, /\.woff2$/, /^\/api\//].map((pattern) => kilobytes(loaded, pattern).toFixed(1))
    console.log(`| ${[name, ...weights, best('painted'), best('ready'), best('key')].join(' | ')} |`)
  }
  const sorted = [...scripts].sort(([, a], [, b]) => b - a)
  const total = sorted.reduce((sum, [, bytes]) => sum + bytes, 0)
  console.log(`\nAll scripts of these pages: ${(total / 1000).toFixed(0)} kB compressed. The largest:`)
  for (const [path, bytes] of sorted.slice(0, 6)) console.log(`- ${path}: ${(bytes / 1000).toFixed(1)} kB`)
} finally {
  await browser.close()
  await studio.close()
  if (!given) rmSync(folder, { recursive: true })
}
