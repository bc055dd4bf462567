/**
 * Photographs every page of the studio in Chromium (`CHROMIUM`, default /usr/bin/chromium): light, dark, and 360 px wide.
 * `npm run pictures:studio [FOLDER] [PAGE...]` writes them into FOLDER (default: studio-pictures) and says which page scrolls
 * sideways or writes to the console; those in `kept` are written into docs/ too.
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { fillStore, makeFolder, openStudio, pagesOf } from './studio/demonstration.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const [out = 'studio-pictures', ...wanted] = process.argv.slice(2)
const views = [
  { name: 'light', viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  { name: 'dark', viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  { name: 'narrow', viewport: { width: 360, height: 780 }, colorScheme: 'light' },
]
/** Pictures of README and docs: view-page, as it is named there. */
const kept = {
  'light-label-rank': 'studio-label.png',
  'dark-run': 'studio-run.png',
  'light-agreement': 'studio-agreement.png',
}

const demonstration = resolve(out, 'demonstration')
const isNew = !existsSync(demonstration)
if (isNew) makeFolder(demonstration)
const studio = await openStudio(demonstration)
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
try {
  const places = isNew ? await fillStore(studio) : { projects: [1, 2, 3, 4, 5, 6] }
  for (const { name: view, ...settings } of views) {
    mkdirSync(join(out, view), { recursive: true })
    const context = await browser.newContext(settings)
    const page = await context.newPage()
    let at = ''
    page.on('console', (message) => console.log(`${view} ${at}: ${message.text()}`))
    page.on('pageerror', (error) => console.log(`${view} ${at}: ${error.message}`))
    await page.goto(studio.owner)
    await page.waitForSelector('main h1')
    for (const { name, path, keys = [] } of pagesOf(places)) {
      if (wanted.length > 0 && !wanted.includes(name)) continue
      at = name
      await page.goto(studio.url + path)
      await page.waitForSelector('main :is(h1, h2)')
      await page.waitForTimeout(700)
      const width = await page.evaluate(() => document.documentElement.scrollWidth)
      if (width > settings.viewport.width) console.log(`${view} ${name}: ${width} px wide`)
      const file = join(out, view, `${name}.png`)
      const copy = kept[`${view}-${name}`]
      if (copy) for (const key of keys) await page.keyboard.press(key)
      if (copy && keys.length > 0) await page.waitForTimeout(700)
      // Bars that stick to the bottom would stand in the middle of a whole page
      await page.screenshot({ path: file, fullPage: !copy && !name.startsWith('label-') })
      if (copy) copyFileSync(file, join(here, copy))
    }
    await context.close()
  }
} finally {
  await browser.close()
  await studio.close()
}
