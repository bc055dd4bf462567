/**
 * Links of the documents. They are written as GitHub reads them, relative to their file; here they become those of the site.
 * A link to a page, a file or a heading that is not there fails the build.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { MarkdownRenderer } from 'vitepress'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

const ofRepository = (file: string) => relative(root, file).replaceAll('\\', '/')

/** Pages with a place of their own. The README has the same subject as the front page. */
const places: Record<string, string> = {
  'README.md': '/index.md',
  'CONTRIBUTING.md': '/contributing.md',
  'CHANGELOG.md': '/changes.md',
  'docs/api.md': '/api/index.md',
}

/** Where the page of a Markdown file is on the site, such as `/methods/dpo.md`. */
export const pageOf = (file: string): string => {
  const path = ofRepository(file)
  return places[path] ?? `/${path.replace(/^docs\//, '')}`
}

/** The anchor of a heading, as GitHub makes it. */
export const slugOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')

/** Files that pages link to and that are no pages, such as examples. They are copied into the site. */
const linkedFiles = new Set<string>()

/** Where a relative link of a file leads to on the site; '' for a folder, which the site does not show. */
export const siteLink = (href: string, from: string): string => {
  const [path, hash = ''] = href.split('#')
  const target = resolve(dirname(from), decodeURI(path))
  if (!existsSync(target)) throw new Error(`${ofRepository(from)}: the link ${href} leads nowhere`)
  if (statSync(target).isDirectory()) return ''
  if (path.endsWith('.md')) return `${pageOf(target)}${hash && `#${hash}`}`
  linkedFiles.add(ofRepository(target))
  return `/${ofRepository(target)}`
}

/** A plugin of markdown-it that turns relative links into those of the site. */
export const repositoryLinks = (md: MarkdownRenderer) =>
  md.core.ruler.push('repository-links', ({ tokens, env }) => {
    const from: string | undefined = env.realPath ?? env.path
    if (!from) return
    for (const { children } of tokens)
      for (const token of children ?? []) {
        const href = token.type === 'link_open' ? token.attrGet('href') : null
        if (!href || /^([a-z]+:|#|\/)/i.test(href)) continue
        const link = siteLink(href, from)
        token.attrSet('href', link || '#')
        if (link && !/\.md(#|$)/.test(link)) token.attrSet('target', '_self')
      }
  })

/**
 * A plugin of markdown-it: an import path as code, such as `attune/tensor`, is a link to its API page. `attune` alone is one only in
 * docs/api.md; elsewhere it may be the command.
 */
export const apiLinks = (md: MarkdownRenderer, paths: readonly string[]) =>
  md.core.ruler.push('api-links', ({ tokens, env, Token }) => {
    const isApi = (env.realPath ?? env.path) === join(root, 'docs', 'api.md')
    for (const inline of tokens) {
      let inLink = false
      inline.children =
        inline.children?.flatMap((token) => {
          inLink = token.type === 'link_open' || (inLink && token.type !== 'link_close')
          if (inLink || token.type !== 'code_inline' || !paths.includes(token.content)) return [token]
          if (token.content === 'attune' && !isApi) return [token]
          const open = new Token('link_open', 'a', 1)
          open.attrSet('href', `/api/${token.content}.md`)
          return [open, token, new Token('link_close', 'a', -1)]
        }) ?? null
    }
  })

const plain = (text: string) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'")

const idsOf = (html: string) => new Set([...html.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => plain(id)))
const linksOf = (html: string) => [...html.matchAll(/<a\b[^>]*?\shref="([^"]*)"/g)].map(([, href]) => plain(href))

/** The links of a site's pages to pages, files or headings that are not there. @param pages HTML by path, such as 'api/attune.html' */
export const brokenLinks = (pages: ReadonlyMap<string, string>, files: readonly string[] = []): string[] => {
  const ids = new Map([...pages].map(([path, html]) => [path, idsOf(html)]))
  const isBroken = (href: string, from: string) => {
    const { pathname, hash } = new URL(href, `http://site/${from}`)
    const target = decodeURI(pathname)
      .slice(1)
      .replace(/(^|\/)$/, '$1index.html')
    const page = [target, `${target}.html`].find((path) => ids.has(path))
    if (!page) return !files.includes(target)
    return hash.length > 1 && !ids.get(page)!.has(decodeURIComponent(hash.slice(1)))
  }
  return [...pages].flatMap(([path, html]) =>
    [...new Set(linksOf(html))]
      .filter((href) => !/^[a-z]+:/i.test(href) && isBroken(href, path))
      .map((href) => `${path}: ${href}`),
  )
}

/** Copies the files that pages link to into a site that was built, and checks its links. */
export const finishSite = (outDir: string) => {
  for (const path of linkedFiles) {
    mkdirSync(dirname(join(outDir, path)), { recursive: true })
    copyFileSync(join(root, path), join(outDir, path))
  }
  const files = readdirSync(outDir, { recursive: true }).map((path) => String(path).replaceAll('\\', '/'))
  const pages = files.filter((path) => path.endsWith('.html'))
  const broken = brokenLinks(new Map(pages.map((path) => [path, readFileSync(join(outDir, path), 'utf8')])), files)
  if (broken.length) throw new Error(`links that lead nowhere:\n  ${broken.join('\n  ')}`)
}
