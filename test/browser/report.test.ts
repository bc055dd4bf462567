/** The report page of the demo in a browser, where chromium is installed: its width, its colours, and no network requests. */

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { promptOf, rankCompletions, splitSums, totalOf } from '../../src/labs/demo/addition.ts'
import { demoReport } from '../../src/labs/demo/report.ts'
import { demoSizes } from '../../src/labs/demo/settings.ts'
import { figure } from '../../src/report/figures.ts'
import { html } from '../../src/report/html.ts'
import type { Point } from '../../src/report/lineChart.ts'
import { page as htmlPage, stackedTable } from '../../src/report/page.ts'
import { wilson } from '../../src/statistics/intervals.ts'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
/** ATTUNE_SCREENSHOTS=DIR saves screenshots. */
const pictures = process.env.ATTUNE_SCREENSHOTS

const { tested, ranked } = splitSums(1, demoSizes)
const curve = (steps: number, value: (part: number) => number): Point[] =>
  Array.from({ length: steps }, (_, i) => [i + 1, value((i + 1) / steps) * (1 + 0.05 * Math.sin(17 * i))])

const outcome = (right: number) => ({
  before: wilson(560, 1000),
  after: wilson(right, 1000),
  kinds: { before: { right: 560, close: 396, wrong: 44 }, after: { right, close: 20, wrong: 980 - right } },
  mended: 390,
  spoiled: 12,
  seconds: 9,
})

const page = () =>
  demoReport({
    result: {
      ...outcome(938),
      seed: 1,
      sizes: demoSizes,
      parameters: 334_944,
      floor: 0.31,
      rankings: 577,
      knew: 594,
      seconds: { learn: 31, compare: 3, align: 9 },
      beside: { imitation: outcome(930), spin: outcome(910), asft: outcome(914) },
    },
    tested: tested.map((sum, i) => {
      const right = String(totalOf(sum))
      const before = i % 2 ? right : String(totalOf(sum) + 1)
      return { prompt: promptOf(sum), right, before, after: right, imitation: right, spin: right, asft: right }
    }),
    rankings: ranked.map(
      (sum) =>
        rankCompletions(
          sum,
          [0, 1, -10].map((by) => String(totalOf(sum) + by)),
        )!,
    ),
    curves: {
      sft: new Map([['loss', curve(500, (part) => 0.33 + 2.4 * Math.exp(-6 * part))]]),
      dpo: new Map([
        ['loss', curve(60, (part) => 1.79 - 0.1 * part)],
        ['rewards/margins', curve(60, (part) => 0.4 * part)],
        ['rewards/accuracies', curve(60, (part) => 0.5 + 0.2 * Math.sqrt(part))],
      ]),
    },
    output: 'attune-demo',
    made: { versions: { attune: '0.1.0', node: '20' }, machine: { cpu: 'a processor', cores: 2 } },
  }).html

const plots = () =>
  htmlPage({
    title: 'plots',
    body: [
      figure(
        {
          title: 'Reward against steps',
          x: { name: 'steps of the environment', log: true },
          y: { name: 'reward' },
          series: ['REINFORCE', 'PPO with a value network'].map((name, color) => ({
            name,
            color,
            points: curve(50, (part) => part * (color + 1)),
          })),
        },
        'A note.',
      ),
    ],
  })

/** As wide as that of a comparison of models with long names. */
const tables = () =>
  htmlPage({
    title: 'tables',
    body: [
      stackedTable(
        ['pair', 'judge', 'longer by', 'win rate at equal length', 'difference of rewards', 'the same at equal length'],
        [1, 2].map(() => [
          'grpo over SmolLM2-135M-Instruct',
          'kind',
          ...Array.from({ length: 4 }, () => html`-10.43<br/><span class="soft">(-12.19 to -10.44)</span>`),
        ]),
      ),
    ],
  })

describe.skipIf(!existsSync(executablePath))('the report of the demo in a browser', () => {
  let browser: Browser
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'attune-page-'))
    await writeFile(join(dir, 'report.html'), page())
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
    await writeFile(join(dir, 'plots.html'), plots())
    await writeFile(join(dir, 'tables.html'), tables())
    if (pictures) await mkdir(pictures, { recursive: true })
  })
  afterAll(async () => {
    await browser?.close()
    await rm(dir, { recursive: true, force: true })
  })

  it.each(
    ([1280, 400, 320] as const).flatMap((width) => (['light', 'dark'] as const).map((scheme) => ({ width, scheme }))),
  )('fits $width pixels in the $scheme colour scheme and requests nothing', async ({ width, scheme }) => {
    const tab = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme })
    const requests: string[] = []
    const complaints: string[] = []
    tab.on('request', (request) => requests.push(request.url()))
    tab.on('console', (message) => complaints.push(message.text()))
    const url = pathToFileURL(join(dir, 'report.html')).href
    await tab.goto(url)
    expect(requests).toEqual([url])
    expect(complaints).toEqual([])
    expect(await tab.evaluate(() => document.documentElement.scrollWidth)).toBe(width)
    // Read from the drawing, so that a chart without its style fails
    const ink = await tab.evaluate(() => getComputedStyle(document.querySelector('.chart .curve')!).stroke)
    expect(ink).toBe(scheme === 'dark' ? 'rgb(86, 199, 174)' : 'rgb(15, 110, 92)')
    // The smallest font size of a chart, in pixels on the page
    const smallest = await tab.evaluate(() =>
      Math.min(
        ...[...document.querySelectorAll('.chart')].map((svg) => (12 * svg.getBoundingClientRect().width) / 400),
      ),
    )
    expect(smallest).toBeGreaterThan(width < 400 ? 7 : 9)
    if (pictures) await tab.screenshot({ path: join(pictures, `${width}-${scheme}.png`), fullPage: true })
    await tab.close()
  })

  it.each([1280, 400, 320])(
    'shows a wide table whole, and a number with its interval on two lines, at %i pixels',
    async (width) => {
      const tab = await browser.newPage({ viewport: { width, height: 900 } })
      await tab.goto(pathToFileURL(join(dir, 'tables.html')).href)
      const shown = await tab.evaluate(() => {
        const frame = document.querySelector('.scroll')!
        const values = [...document.querySelectorAll('td.n span.soft')]
        return {
          clipped: frame.scrollWidth > frame.clientWidth || document.documentElement.scrollWidth > innerWidth,
          lines: Math.max(...values.map((value) => value.getClientRects().length)),
          named: getComputedStyle(document.querySelectorAll('td')[3], '::before').content,
        }
      })
      expect(shown).toEqual({ clipped: false, lines: 1, named: width > 640 ? 'none' : '"win rate at equal length"' })
      await tab.close()
    },
  )

  it.each([1280, 400, 320])('shows each plot whole and once at %i pixels', async (width) => {
    const tab = await browser.newPage({ viewport: { width, height: 900 } })
    await tab.goto(pathToFileURL(join(dir, 'plots.html')).href)
    const shown = await tab.evaluate(() =>
      [...document.querySelectorAll('figure')].map((figure) => ({
        charts: [...figure.querySelectorAll('svg')].filter((svg) => svg.getBoundingClientRect().width > 0).length,
        clipped: figure.scrollWidth > figure.clientWidth,
        letters: Math.min(
          ...[...figure.querySelectorAll('svg')]
            .filter((svg) => svg.getBoundingClientRect().width > 0)
            .map((svg) => (12 * svg.getBoundingClientRect().width) / svg.viewBox.baseVal.width),
        ),
      })),
    )
    expect(shown).toHaveLength(1)
    for (const { charts, clipped, letters } of shown) {
      expect([charts, clipped]).toEqual([1, false])
      expect(letters).toBeGreaterThan(width < 400 ? 7 : 9)
    }
    expect(await tab.evaluate(() => document.documentElement.scrollWidth)).toBe(width)
    if (pictures) await tab.screenshot({ path: join(pictures, `plots-${width}.png`), fullPage: true })
    await tab.close()
  })
})
