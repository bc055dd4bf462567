/**
 * Draws the pictures of docs/ anew, from the numbers recorded beside them: `npm run pictures`. Plots are SVG files beside their
 * JSON; docs/demo.png is a photograph of the demo's page by Chromium (`CHROMIUM`, default /usr/bin/chromium),
 * docs/demo-narrow.png one as a phone shows it, and docs/demo/page.sha256 the hash of that page. `--check` changes nothing and names what is not as today's code draws it.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { comparisonPlots } from '../dist/labs/compare/report.js'
import { demoReport } from '../dist/labs/demo/report.js'
import { plotChart } from '../dist/report/plot.js'
import { standalone } from '../dist/report/svg.js'

const here = dirname(fileURLToPath(import.meta.url))
const check = process.argv.includes('--check')
const read = (name) => readFileSync(join(here, name), 'utf8')

/** Files of docs/ that hold the numbers of a plot, and have its drawing beside them. */
const plots = readdirSync(here, { recursive: true })
  .filter((name) => name.endsWith('.json') && existsSync(join(here, name.replace(/json$/, 'svg'))))
  .map((name) => ({ file: name.replace(/json$/, 'svg'), drawing: standalone(plotChart(JSON.parse(read(name)))) }))

/** The plots of a comparison that docs/levels.md shows, which have their numbers in one file. */
for (const [name, drawing] of Object.entries(comparisonPlots(JSON.parse(read('levels/findings.json')))))
  if (existsSync(join(here, 'levels', `${name}.svg`)))
    plots.push({ file: `levels/${name}.svg`, drawing: standalone(drawing) })

/** The demo's page, from the numbers of docs/demo.mjs. */
const demoPage = () => {
  const { curves, ...findings } = JSON.parse(read('demo/findings.json'))
  const maps = Object.entries(curves).map(([run, values]) => [run, new Map(Object.entries(values))])
  return demoReport({ ...findings, curves: Object.fromEntries(maps) }).html
}

/** What of the page the pictures show, in pixels of the page. */
const pictures = [
  { name: 'demo.png', viewport: { width: 1040, height: 1580 }, deviceScaleFactor: 1.5 },
  { name: 'demo-narrow.png', viewport: { width: 400, height: 850 }, deviceScaleFactor: 2 },
]

const photograph = async (page) => {
  const { chromium } = await import('playwright-core')
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
  const dir = mkdtempSync(join(tmpdir(), 'attune-pictures-'))
  writeFileSync(join(dir, 'page.html'), page)
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  try {
    for (const { name, ...view } of pictures) {
      const tab = await browser.newPage({ ...view, colorScheme: 'light' })
      await tab.goto(pathToFileURL(join(dir, 'page.html')).href)
      await tab.screenshot({ path: join(here, name) })
    }
  } finally {
    await browser.close()
    rmSync(dir, { recursive: true })
  }
}

const page = demoPage()
const hash = `${createHash('sha256').update(page).digest('hex')}\n`
const hashFile = join(here, 'demo', 'page.sha256')
const stale = plots.filter(({ file, drawing }) => read(file) !== drawing)
const isDemoStale = !existsSync(hashFile) || readFileSync(hashFile, 'utf8') !== hash

if (check) {
  const names = [...stale.map(({ file }) => file), ...(isDemoStale ? ['demo.png'] : [])]
  for (const name of names) console.error(`docs/${name} is not as the code draws it: npm run pictures`)
  process.exitCode = names.length ? 1 : 0
} else {
  for (const { file, drawing } of stale) writeFileSync(join(here, file), drawing)
  await photograph(page)
  writeFileSync(hashFile, hash)
  console.log(`${stale.length} of ${plots.length} plots and the pictures of the demo drawn anew`)
}
