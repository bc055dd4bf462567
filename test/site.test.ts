/** The documents as a site: it builds, its links hold, and its sidebar leads to every page. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createMarkdownRenderer } from 'vitepress'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { brokenLinks, pageOf, siteLink, slugOf } from '../docs/.vitepress/links.ts'
import { indentedCode, stackedTables, unbrokenWords } from '../docs/.vitepress/narrow.ts'
import { node, root } from './support/project.ts'
import { axeOn, hasBrowser, openBrowser } from './support/studioPage.ts'

const out = mkdtempSync(join(tmpdir(), 'attune-site-'))
afterAll(() => rmSync(out, { recursive: true }))

describe('the site', () => {
  const failed: string[] = []
  beforeAll(async () => {
    const vitepress = join('node_modules', 'vitepress', 'bin', 'vitepress.js')
    for (const args of [[join('docs', 'api.mjs')], [vitepress, 'build', 'docs', '--outDir', out]]) {
      const { status, stderr } = await node(root, args, { NODE_ENV: 'production', HTTPS_PROXY: 'http://127.0.0.1:9' })
      if (status !== 0) failed.push(stderr)
    }
  }, 600_000)
  const page = (path: string) => readFileSync(join(out, path), 'utf8')

  it('builds without a network, and no link leads nowhere', () => expect(failed).toEqual([]))

  it('has every page of docs/ in its sidebar', () => {
    const sidebar = page('getting-started.html')
    const pages = written().filter((path) => path !== 'index.md')
    const links = pages.map((path) => pageOf(join(root, 'docs', path)).replace(/\.md$/, '.html'))
    expect(links.filter((link) => !sidebar.includes(`href="${link}"`))).toEqual([])
  })

  it('shows the table of the README on its front page', () => {
    const [, cell] = /^\| *(?:you|I) have\b.*\n\|.*\n\| ([^|]*?) \|/im.exec(
      readFileSync(join(root, 'README.md'), 'utf8'),
    )!
    expect(page('index.html')).toContain(cell.replace(/\[(.*?)\].*/, '$1'))
  })

  it('lists settings with their types on the page of attune', () => {
    expect(page('api/attune.html')).toMatch(/id="dpo"/)
    expect(page('api/attune/tensor.html')).toMatch(/id="tensor"/)
  })

  const written = () =>
    readdirSync(join(root, 'docs'), { recursive: true })
      .map((path) => String(path).replaceAll('\\', '/'))
      .filter((path) => path.endsWith('.md') && !/^(api|\.vitepress)\//.test(path))

  it('has every chart in its page, once for wide screens and once for phones', () => {
    const charts = written().flatMap((path) => {
      const images = readFileSync(join(root, 'docs', path), 'utf8').match(/!\[[^\]]*\]\([^)]+\.svg\)/g) ?? []
      return images.length ? [{ path, images: images.length }] : []
    })
    expect(charts.map(({ path }) => path)).toEqual(expect.arrayContaining(['levels.md', 'policy-gradients.md']))
    for (const { path, images } of charts) {
      const html = page(path.replace(/md$/, 'html'))
      expect(html.match(/<svg class="chart"/g), path).toHaveLength(2 * images)
      expect(html, path).not.toMatch(/<img[^>]*\.svg/)
    }
  })

  it.skipIf(!hasBrowser)(
    'can be read light and dark, and shows its charts by its own switch; their files follow the system',
    async () => {
      const browser = await openBrowser()
      try {
        for (const colorScheme of ['light', 'dark'] as const) {
          const context = await browser.newContext({ colorScheme, viewport: { width: 1280, height: 800 } })
          await context.route('http://site.test/**', (route) => {
            const file = join(out, new URL(route.request().url()).pathname)
            return existsSync(file) ? route.fulfill({ path: file }) : route.fulfill({ status: 404 })
          })
          const tab = await context.newPage()
          const look = () =>
            tab.evaluate(() => {
              const label = document.querySelector('.chart text')!
              return [document.documentElement.classList.contains('dark'), getComputedStyle(label).fill]
            })
          const of = (isDark: boolean) => [isDark, isDark ? 'rgb(163, 162, 155)' : 'rgb(101, 101, 95)']
          const isDark = colorScheme === 'dark'
          await tab.goto('http://site.test/policy-gradients.html')
          expect(await look()).toEqual(of(isDark))
          await tab.locator('.VPNavBar .VPSwitchAppearance').first().click()
          await expect.poll(look).toEqual(of(!isDark))
          // Programs, commands, outputs and tables
          for (const path of ['generation', 'policy-gradients']) {
            await tab.goto(`http://site.test/${path}.html`)
            expect(await axeOn(tab, { runOnly: ['color-contrast'] }), `${colorScheme} ${path}`).toEqual([])
          }
          await tab.goto(pathToFileURL(join(root, 'docs', 'cartpole', 'by-step.svg')).href)
          expect((await look())[1]).toBe(of(isDark)[1])
          await context.close()
        }
      } finally {
        await browser.close()
      }
    },
    300_000,
  )

  it('asks for nothing from elsewhere', () => {
    const pages = readdirSync(out, { recursive: true }).map(String)
    const loaded = pages
      .filter((path) => /\.(html|css)$/.test(path))
      .flatMap((path) => page(path).match(/(?:src="|url\(["']?|<link[^>]*href=")https?:[^"')]*/g) ?? [])
    expect(loaded).toEqual([])
  })
})

describe('links', () => {
  const from = join(root, 'docs', 'data.md')

  it('of GitHub become those of the site', () => {
    expect(siteLink('runs.md#the-page', from)).toBe('/runs.md#the-page')
    expect(siteLink('../CONTRIBUTING.md', from)).toBe('/contributing.md')
    expect(siteLink('../README.md', from)).toBe('/index.md')
    expect(siteLink('docs/runs.md', join(root, 'README.md'))).toBe('/runs.md')
    expect(siteLink('../examples/friends.jsonl', from)).toBe('/examples/friends.jsonl')
    expect(siteLink('../examples', from)).toBe('')
    expect(() => siteLink('none.md', from)).toThrow('docs/data.md: the link none.md leads nowhere')
  })

  it('to headings have their names on GitHub', () => {
    expect(slugOf('See it: `attune check`')).toBe('see-it-attune-check')
    expect(slugOf('A & B, 2+2')).toBe('a--b-22')
  })

  it('that lead nowhere are found', () => {
    const html =
      '<a id="x"></a><a href="/b#y">1</a><a href="./b.html#z">2</a><a href="/">3</a><a href="c">4</a><a href="f.svg">5</a>'
    const pages = new Map([
      ['a.html', html],
      ['b.html', '<h2 id="y">Y</h2><a class="k" href="a.html#x">6</a><a href="https://example.org/none">7</a>'],
    ])
    expect(brokenLinks(pages, ['f.svg'])).toEqual(['a.html: ./b.html#z', 'a.html: /', 'a.html: c'])
  })
})

describe('on a narrow screen', () => {
  const renderer = createMarkdownRenderer(root).then((md) => md.use(indentedCode).use(stackedTables).use(unbrokenWords))
  const html = async (text: string) => (await renderer).render(text)
  const prose =
    '| name | in attune | note |\n| --- | --- | --- |\n| `output_dir` | `--output` | where a run and all that it has learnt is kept |\n'

  it('a table of texts stands as blocks, with the names of its columns', async () => {
    const made = await html(prose)
    expect(made).toContain('class="stack"')
    expect(made).toContain('<td data-label="in attune">')
    expect(made).not.toContain('data-label="name"')
  })

  it('a table of numbers scrolls, and its figures do not break', async () => {
    const made = await html(
      '| method | steps | change |\n| --- | --- | --- |\n| dpo | 30 | -0.6 (-0.686 to -0.515) |\n',
    )
    expect(made).not.toContain('stack')
    expect(made).toContain('<td class="nowrap">30</td>')
    expect(made).toContain('<span class="nowrap">(-0.686 to -0.515)</span>')
  })

  it('what a row of many figures lacks is not said on a phone', async () => {
    const made = await html(
      '| case | a | b |\n| --- | --- | --- |\n| a language model with an adapter of rank 16 | - | 2 |\n',
    )
    expect(made).toMatch(/<td[^>]*data-label="a" class="none">-/)
  })

  it('flags, rates and shares do not break, commands do between their words', async () => {
    const made = await html('`--learning-rate` is 1e-4, `attune dpo --beta 0.1`')
    expect(made).toMatch(/<code[^>]* class="nowrap">--learning-rate/)
    expect(made).toContain('<span class="nowrap">1e-4</span>')
    expect(made).toContain('<code v-pre>attune dpo <span class="nowrap">--beta</span> 0.1</code>')
    expect(await html('in 95 % of them')).toContain('<span class="nowrap">95 %</span>')
    expect(await html('`<a> {{ b }} --c-d`')).toContain(
      '<code v-pre>&lt;a&gt; {{ b }} <span class="nowrap">--c-d</span>',
    )
  })

  it('a formula is a block that scrolls', async () => {
    expect(await html('Text:\n\n    a = b + c\n')).toContain('language-text')
  })

  it('an output keeps the columns of its tables, and breaks its sentences', async () => {
    const output = (length: number) => html(`\`\`\`text\n${'x'.repeat(length)}\n\`\`\`\n`)
    expect(await output(92)).toContain('class="language-text vp')
    expect(await output(100)).toContain('class="language-text small')
    expect(await output(200)).toContain('class="language-text prose')
  })
})

describe('the API pages', () => {
  it('are not made where an export or a property has no description', async () => {
    const { undescribed } = (await import(pathToFileURL(join(root, 'docs', 'api.mjs')).href)) as {
      undescribed(page: string): string[]
    }
    const table = (note: string) =>
      `| Property | Type | Description |\n| --- | --- | --- |\n| \`a\` | \`string\` | ${note} |`
    const described = `## A <a id="type-A"></a>\n\n\`\`\`ts\ntype A = object;\n\`\`\`\n\nAn A.\n\n### Properties\n\n${table('Its a.')}\n`
    expect(undescribed(described)).toEqual([])
    expect(undescribed(described.replace('An A.\n\n', ''))).toEqual(['A'])
    expect(undescribed(described.replace('Its a.', '-'))).toEqual(['A: | `a` | `string` | - |'])
    expect(undescribed(described.replaceAll(/ \| (Description|Its a\.) \|/g, ' |'))).toEqual([
      'A: no property has a description',
    ])
    expect(
      undescribed(
        `${described}\n### Methods\n\n#### b()\n\n\`\`\`ts\nb(): void;\n\`\`\`\n\n##### Returns\n\n\`void\`\n`,
      ),
    ).toEqual(['A: b()'])
    expect(undescribed('## f()\n\n```ts\nfunction f(): void;\n```\n\n### Returns\n\n`void`\n')).toEqual(['f()'])
  })
})
