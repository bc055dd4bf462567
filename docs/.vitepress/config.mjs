/** The site of the documents, made by VitePress: its pages, sidebar and search. `npm run docs` builds it, `npm run docs:dev` serves it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitepress'
import { entries } from '../api.mjs'
import { chartsStyle, inlineCharts } from './charts.ts'
import { apiLinks, finishSite, pageOf, repositoryLinks, root, slugOf } from './links.ts'
import { indentedCode, stackedTables, unbrokenWords } from './narrow.ts'

const docs = join(root, 'docs')
const titleOf = (file) => /^# (.*)$/m.exec(readFileSync(file, 'utf8'))?.[1].replaceAll('`', '') ?? file

/** Pages of the sidebar as [text, file in docs/]. Files that are not there are left out. */
const group = (text, pages) => ({
  text,
  collapsed: false,
  items: pages
    .map(([text, path]) => ({ text, path, file: join(docs, path.split('#')[0]) }))
    .filter(({ file }) => existsSync(file))
    .map(({ text, path, file }) => ({ text, link: `${pageOf(file)}${/#.*$/.exec(path) ?? ''}` })),
})

const methodOrder = [
  'index',
  'sft',
  'dpo',
  'kto',
  'reward',
  'grpo',
  'rloo',
  'reinforce',
  'ppo',
  'online-dpo',
  'spin',
  'asft',
  'distill',
  'selfreward',
]
const place = (name) => methodOrder.indexOf(name) + 1 || methodOrder.length + 1
const methods = existsSync(join(docs, 'methods'))
  ? readdirSync(join(docs, 'methods'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => name.slice(0, -3))
      .sort((a, b) => place(a) - place(b) || a.localeCompare(b))
      .map((name) => [titleOf(join(docs, 'methods', `${name}.md`)), `methods/${name}.md`])
  : []

const sidebar = [
  {
    text: 'Start',
    items: [
      { text: 'What attune is', link: '/' },
      ...group('', [
        ['Getting started', 'getting-started.md'],
        ['Guide: a real chat model', 'guide.md'],
      ]).items,
      ...group('', [['The demo', 'demo.md']]).items,
      { text: 'I have X, I want Y', link: '/#what-do-you-have' },
    ],
  },
  group('Data', [
    ['Data, and checking it', 'data.md'],
    ['Models and tokenizers', 'models.md'],
  ]),
  group('Methods', methods),
  group('Training', [
    ['Settings of all methods', 'training.md'],
    ['Learning rates', 'learning-rates.md'],
    ['Faster products: --compute', 'performance.md'],
    ['Many machines: --workers', 'machines.md'],
    ['Learning from rewards', 'rl.md'],
    ['Using a reward model', 'rewards.md'],
    ['How self-play works', 'self-play.md'],
    ['Names in other programs', 'names.md'],
  ]),
  group('Feedback', [
    ['Feedback at a glance', 'feedback.md'],
    ['The studio: label, watch, compare, talk', 'studio.md'],
    ['Judges', 'judge.md'],
    ['Win rates, and faults of judges', 'winrate.md'],
    ['Votes: agreement, consensus, exchange', 'votes.md'],
    ['Pair rankers', 'ranker.md'],
    ['Rows by a constitution', 'constitution.md'],
  ]),
  group('Measuring', [['Is it better? Compare models', 'levels.md']]),
  group('Using a model', [
    ['Generate text', 'generation.md'],
    ['Chat and serve', 'serving.md'],
  ]),
  group('Files and reliability', [
    ['What a run folder holds', 'runs.md'],
    ['Reliability and security', 'reliability.md'],
  ]),
  group('In a program', [
    ['Use as a library', 'library.md'],
    ['API: all modules', 'api.md'],
  ]),
  {
    text: 'API, module by module',
    collapsed: true,
    items: entries.map(({ name }) => ({ text: name, link: `/api/${name}` })),
  },
  group('Studies', [
    ['What the studies found', 'findings.md'],
    ['Scaling laws', 'scaling.md'],
    ['Policy gradients on a pole', 'policy-gradients.md'],
    ['Two kinds of reward models', 'levels.md#study-two-kinds-of-reward-models'],
  ]),
  group('Project', [
    ['Benchmarks', 'benchmarks.md'],
    ['Architecture', 'architecture.md'],
    ['Contributing', '../CONTRIBUTING.md'],
    ['Changes', '../CHANGELOG.md'],
  ]),
].filter(({ items }) => items.length)

/** Puts the README's table of what people have and want into the front page. */
const readmeTable = {
  name: 'readme-table',
  enforce: 'pre',
  transform(text, id) {
    if (!id.endsWith('/docs/index.md')) return
    const [table] = /^\| *(?:you|I) have\b.*\n(?:\|.*\n)+/im.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? []
    if (!table) throw new Error('README.md has no table that begins with "| you have"')
    return text.replace('<!-- table of README.md -->', table.replaceAll('](docs/', ']('))
  },
}

export default defineConfig({
  title: 'attune',
  description: 'Post-training of language models in TypeScript',
  lang: 'en',
  // The pages that are not in docs/ lie beside it
  srcDir: '..',
  srcExclude: ['README.md', '!(docs|*.md)/**'],
  rewrites: (path) => pageOf(join(root, path)).slice(1),
  lastUpdated: false,
  head: [['style', {}, chartsStyle]],
  markdown: {
    // Braces are text here, as on GitHub
    attrs: { disable: true },
    anchor: { slugify: slugOf },
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    config: (md) => {
      md.use(repositoryLinks)
      md.use(
        apiLinks,
        entries.map(({ name }) => name),
      )
      md.use(inlineCharts)
      md.use(indentedCode)
      md.use(stackedTables)
      md.use(unbrokenWords)
    },
  },
  vite: { plugins: [readmeTable], logLevel: 'warn', build: { chunkSizeWarningLimit: 4096 } },
  buildEnd: ({ outDir }) => finishSite(outDir),
  themeConfig: {
    nav: [
      { text: 'Getting started', link: '/getting-started' },
      { text: 'Library', link: '/library' },
      { text: 'API', link: '/api/' },
    ],
    sidebar,
    outline: { level: [2, 3], label: 'On this page' },
    search: { provider: 'local' },
    docFooter: { prev: 'Before', next: 'Next' },
    externalLinkIcon: true,
  },
})
