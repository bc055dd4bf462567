/** The documents as a site: it builds, its links hold, and its sidebar leads to every page. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMarkdownRenderer } from 'vitepress'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { brokenLinks, pageOf, siteLink, slugOf } from '../docs/.vitepress/links.ts'
import { indentedCode, stackedTables, unbrokenWords } from '../docs/.vitepress/narrow.ts'
import { node, root } from './support/project.ts'

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
    const files = readdirSync(join(root, 'docs'), { recursive: true }).map((path) => String(path).replaceAll('\\', '/'))
    const written = files.filter((path) => path.endsWith('.md') && !/^(api|\.vitepress)\/|^index\.md$/.test(path))
    const sidebar = page('getting-started.html')
    const links = written.map((path) => pageOf(join(root, 'docs', path)).replace(/\.md$/, '.html'))
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

  it('flags and rates do not break, commands do', async () => {
    const made = await html('`--learning-rate` is 1e-4, `attune dpo --beta 0.1`')
    expect(made).toMatch(/<code[^>]* class="nowrap">--learning-rate/)
    expect(made).toContain('<span class="nowrap">1e-4</span>')
    expect(made).toMatch(/<code[^>]*>attune dpo/)
    expect(made).not.toMatch(/nowrap[^>]*>attune/)
  })

  it('a formula is a block that scrolls', async () => {
    expect(await html('Text:\n\n    a = b + c\n')).toContain('language-text')
  })
})
